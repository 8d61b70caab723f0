#include "test/sim/slave.hpp"

#include "common/limits.hpp"
#include "test/sim/bugs.hpp"

/// The slave's link to the master, and what it hears over it.
namespace rpic::sim {

using namespace std::chrono_literals;

Slave::Slave(Stage& stage, BoardFacts& board, std::string& node_key, RunnerSocket& socket)
    : stage_(stage),
      board_(board),
      node_key_(node_key),
      socket_(socket),
      attempts_(board.room),
      backoff_(limits::reconnect_max) {}

Slave::~Slave() {
    *alive_ = false;
}

void Slave::after(Duration local, std::function<void()> action) {
    stage_.timeline.after(board_.clock.lasts(local), [alive = alive_, act = std::move(action)] {
        if (*alive) act();
    });
}

void Slave::start() {
    stage_.trace.line(board_.name, "its slave starts");
    look_for_runner();
    connect();
}

// --------------------------------------------------------------------------------------- the link

void Slave::connect() {
    Greeting greeting;
    greeting.key = node_key_;
    auto& hello = greeting.hello;
    hello.role = "worker";
    hello.name = hello.fingerprint = board_.name;
    hello.boot_id = std::to_string(board_.boot);
    hello.machine.arch = "amd64";
    hello.machine.cpu_cores = hello.cpus = board_.room.milli_cpus / 1000;
    hello.machine.ram_bytes = hello.memory_bytes = board_.room.memory_bytes;
    hello.resources = board_.room.resources;
    joined_ = false;
    link_ = stage_.network.connect(board_.index, std::move(greeting));
    after(limits::hello_time, [this, link = link_] {
        if (link == link_ && !joined_) disconnect("the master did not answer the hello");
    });
}

void Slave::disconnect(const std::string& reason, Duration at_least) {
    if (link_ == 0) return;
    stage_.trace.line(board_.name, "has no master: ", reason);
    stage_.network.close_node_end(std::exchange(link_, 0), reason);
    if (joined_) {
        joined_ = false;
        beats_.clear();
        reports_due_.clear();
        attempts_.on_disconnected();
    }
    const auto wait = backoff_.next(now(), stage_.random.share());
    after(std::max(wait, at_least), [this] {
        if (link_ == 0) connect();
    });
}

void Slave::send(Up message) {
    if (joined_) stage_.network.send_up(link_, std::move(message));
}

void Slave::beat(LinkId link) {
    if (link != link_ || !joined_) return;
    // Before it is sent: a lease may count from too early, never from too late.
    beats_.sent(++last_beat_, now());
    Heartbeat message;
    message.sequence = last_beat_;
    send(message);
    after(limits::heartbeat + stage_.random.between(0ms, 20ms), [this, link] { beat(link); });
}

void Slave::watch_silence(LinkId link) {
    if (link != link_ || !joined_) return;
    const Duration left = heard_ + limits::master_silence - now();
    if (left <= 0ms) return disconnect("the master was silent");
    after(left, [this, link] { watch_silence(link); });
}

void Slave::on_down(LinkId link, Down& message) {
    if (link != link_) return;
    heard_ = now();
    std::visit([this](const auto& each) { take(each); }, message);
}

void Slave::take(const Welcome& welcome) {
    if (joined_) return;
    if (!welcome.node_key.empty() && stage_.faults && stage_.random.chance(3)) {
        stage_.troubles.count(Trouble::node_key_not_taken);
        return disconnect("its disk does not take the key");
    }
    joined_ = true;
    refused_ = board_.rejoin = false;
    backoff_.reset();
    if (!welcome.node_key.empty()) {
        node_key_ = welcome.node_key;
        send(KeyStored{});
    }
    stage_.trace.line(board_.name, "has joined as ", welcome.node_id);
    Effects effects;
    const bool restored = epoch_ != 0 && epoch_ != welcome.epoch;
    if (restored && !planted("files_not_brought_again")) attempts_.on_master_restored(effects);
    epoch_ = welcome.epoch;
    attempts_.on_joined(now(), effects);
    apply(std::move(effects));
    beat(link_);
    watch_silence(link_);
}

void Slave::take(const Refused& refused) {
    if (refused.code == "removed" && board_.rejoin && !node_key_.empty()) {
        node_key_.clear();
        return disconnect("its key is worth nothing, it joins anew");
    }
    refused_ = refused.code == "removed";
    const bool soon = refused.code == "stopping" || refused.code == "silent";
    disconnect(refused.reason, soon ? Duration{} : Duration(limits::refused_retry));
}

void Slave::take(const HeartbeatAck& ack) {
    auto sent_at = beats_.answered(ack.sequence);
    if (!sent_at) return;
    if (planted("lease_from_answer")) sent_at = now();
    Effects effects;
    attempts_.on_heartbeat_acknowledged(*sent_at, effects);
    apply(std::move(effects));
}

void Slave::take(const StartTasks& orders) {
    Effects effects;
    attempts_.on_orders(now(), orders, effects);
    apply(std::move(effects));
}

void Slave::take(const StopAttempts& stop) {
    Effects effects;
    attempts_.on_stop(now(), stop, effects);
    apply(std::move(effects));
}

void Slave::take(const AckAttempts& ack) {
    for (const auto& key : ack.attempts) release(key);
    Effects effects;
    attempts_.on_acknowledged(now(), ack, effects);
    apply(std::move(effects));
}

void Slave::take(const Resynced& answer) {
    for (const auto& verdict : answer.verdicts) {
        stage_.trace.line(board_.name, "is told: ", verdict.verdict, " ", verdict.key);
        if (verdict.verdict != "adopt") release(verdict.key);
    }
    Effects effects;
    attempts_.on_resynced(now(), answer, effects);
    apply(std::move(effects));
}

void Slave::release(const AttemptKey& key) {
    board_.released.insert(key);
    board_.finished.erase(key);
}

// ------------------------------------------------------------------------------------- the runner

/// At the start, and when a runner has ended.
void Slave::look_for_runner() {
    if (!waiting_.empty() || socket_.something_left()) return want_runner();
    Effects effects;
    attempts_.on_no_runner(now(), effects);
    apply(std::move(effects));
}

void Slave::want_runner() {
    if (attached_ || connecting_runner_) return;
    connecting_runner_ = true;
    after(stage_.random.between(1ms, 30ms), [this] { socket_.connect_runner(); });
}

void Slave::on_attached(const std::vector<RunnerAttempt>& all) {
    connecting_runner_ = false;
    attached_ = true;
    std::vector<NodeAttempts::Seen> seen;
    for (const auto& attempt : all) {
        waiting_.answered(attempt.key);
        auto& each = seen.emplace_back();
        each.key = attempt.key;
        each.ended = attempt.ended;
        each.running_seconds = attempt.running_seconds;
        each.job = board_.jobs.at(attempt.key);
        each.report = attempt.report;
        each.output_file = attempt.output_file;
    }
    Effects effects;
    attempts_.on_attached(now(), seen, effects);
    apply(std::move(effects));
    for (const auto& key : waiting_.on_attached(all)) {
        waiting_.sent(key);
        socket_.to_runner([order = launches_.at(key)](Runner& runner) { runner.launch(order); });
    }
}

void Slave::on_launched(const AttemptKey& key) {
    waiting_.answered(key);
    Effects effects;
    attempts_.on_launched(now(), key, effects);
    apply(std::move(effects));
}

void Slave::on_ended(const RunnerAttempt& attempt, const std::string& output) {
    waiting_.answered(attempt.key);
    NodeAttempts::Seen seen;
    seen.key = attempt.key;
    seen.ended = true;
    seen.report = attempt.report;
    seen.output_file = attempt.output_file;
    const bool here = !output.empty();
    if (here) outputs_[seen.key] = output;
    Effects effects;
    attempts_.on_ended(now(), seen, here, effects);
    apply(std::move(effects));
    const auto* known = attempts_.find(seen.key);
    if (known == nullptr || !known->output_here) outputs_.erase(seen.key);
}

void Slave::on_runner_gone() {
    waiting_.on_runner_gone();
    connecting_runner_ = false;
    if (std::exchange(attached_, false)) attempts_.on_runner_gone();
    for (const auto& key : waiting_.give_up(limits::runner_deaths)) {
        RunnerAttempt attempt;
        attempt.key = attempt.report.key = key;
        attempt.ended = true;
        attempt.report.outcome = "node";
        attempt.report.reason = "runners ended while they started it";
        stage_.audit.died(key);
        on_ended(attempt, {});
    }
    look_for_runner();
}

}  // namespace rpic::sim
