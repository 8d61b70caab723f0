#include "common/limits.hpp"
#include "slave/report_pages.hpp"
#include "test/sim/bugs.hpp"
#include "test/sim/slave.hpp"

/// What the slave does because NodeAttempts has decided so.
namespace rpic::sim {

using namespace std::chrono_literals;

void Slave::apply(Effects effects) {
    for (std::size_t next = 0; next < effects.size(); ++next) {
        const auto effect = effects[next];
        std::visit([&](const auto& each) { carry_out(each, effects); }, effect);
    }
    want_tick();
}

void Slave::want_tick() {
    const auto next = attempts_.next_tick();
    if (!next || ticks_) return;
    ticks_ = true;
    after(std::max<Duration>(*next - now(), limits::attempts_tick), [this] {
        ticks_ = false;
        Effects effects;
        attempts_.on_tick(now(), effects);
        apply(std::move(effects));
    });
}

void Slave::carry_out(const NodeAttempts::Prepare& effect, Effects&) {
    const bool slow = stage_.random.chance(10);
    const bool on_disk = !(stage_.faults && stage_.random.chance(1));
    after(stage_.random.between(100us, slow ? 4s : 20ms),
          [this, key = effect.key, on_disk] { prepared(key, on_disk); });
}

void Slave::prepared(const AttemptKey& key, bool on_disk) {
    Effects effects;
    if (on_disk) {
        attempts_.on_prepared(now(), key, effects);
    } else {
        stage_.troubles.count(Trouble::node_disk_full);
        stage_.audit.died(key);
        attempts_.on_not_prepared(now(), key, "node", "its disk is full", effects);
    }
    apply(std::move(effects));
}

void Slave::carry_out(const NodeAttempts::Launch& effect, Effects&) {
    const auto* attempt = attempts_.find(effect.key);
    if (attempt == nullptr) return;
    stage_.audit.item_arrived(effect.key, attempt->item);
    board_.jobs[effect.key] = attempt->job;
    Launch order;
    order.spec.key = effect.key;
    order.spec.time_limit_seconds = attempt->job->time_limit_seconds;
    order.spec.stop_after_seconds = attempt->job->stop_after_seconds;
    order.spec.grace_seconds = to_seconds(limits::kill_grace);
    order.after = effect.after;
    stage_.trace.line(board_.name, "launches ", effect.key, effect.after ? " after " : "",
                      effect.after ? name_of(*effect.after) : "");
    if (!waiting_.add(effect.key, {})) return;
    launches_[effect.key] = order;
    if (!waiting_.open()) return want_runner();
    waiting_.sent(effect.key);
    socket_.to_runner([order](Runner& runner) { runner.launch(order); });
}

void Slave::carry_out(const NodeAttempts::StartNow& effect, Effects&) {
    stage_.trace.line(board_.name, "need not hold back ", effect.key);
    if (attached_)
        socket_.to_runner([key = effect.key](Runner& runner) { runner.start_held(key); });
}

void Slave::carry_out(const NodeAttempts::Kill& effect, Effects&) {
    if (attached_)
        socket_.to_runner([effect](Runner& runner) { runner.kill(effect.key, effect.reason); });
}

void Slave::carry_out(const NodeAttempts::Forget& effect, Effects&) {
    if (attached_) socket_.to_runner([key = effect.key](Runner& runner) { runner.forget(key); });
}

void Slave::carry_out(const NodeAttempts::ExtendLease& effect, Effects&) {
    if (attached_) socket_.to_runner([effect](Runner& runner) { runner.renew(effect.sent_at); });
}

// ----------------------------------------------------------------------------- output and files

void Slave::carry_out(const NodeAttempts::DropOutput& effect, Effects&) {
    outputs_.erase(effect.key);
}

void Slave::carry_out(const NodeAttempts::Collect& effect, Effects&) {
    after(stage_.random.between(1ms, 80ms), [this, key = effect.key] { collect(key); });
}

/// Files reach the master over a link of their own, which is there when this one is, and breaks at
/// times; then they go on where they were.
void Slave::collect(const AttemptKey& key) {
    const auto* attempt = attempts_.find(key);
    const bool brings = attempt != nullptr && attempt->phase == NodeAttempts::Phase::collecting &&
                        (!attempt->output_file.empty() || attempt->brings_files());
    if (brings) return upload(key);
    read(key);
}

void Slave::upload(const AttemptKey& key) {
    const auto time = stage_.random.between(2ms, stage_.random.chance(10) ? 9s : 400ms);
    const bool fault = stage_.faults && stage_.random.chance(15);
    const bool breaks = !joined_ || fault;
    if (fault) stage_.troubles.count(Trouble::upload_broken);
    if (breaks && !planted("upload_not_awaited"))
        return after(time + 300ms, [this, key] { collect(key); });
    after(time, [this, key, breaks, link = link_] {
        const bool arrives = joined_ && link == link_ && !stage_.network.is_cut(board_.index);
        if (!arrives && !planted("upload_not_awaited")) return collect(key);
        if (arrives && !breaks) stage_.store.put_blob(blob_of(key));
        read(key);
    });
}

void Slave::read(const AttemptKey& key) {
    const auto* attempt = attempts_.find(key);
    if (attempt == nullptr || !attempt->has_inline_output() || outputs_.contains(key))
        return collected(key, outputs_.contains(key));
    read_output(key);
}

void Slave::read_output(const AttemptKey& key) {
    if (!attached_) return after(100ms, [this, key] { read_output(key); });
    auto answer = std::make_shared<std::optional<std::string>>();
    socket_.to_runner([answer, key](Runner& runner) { *answer = runner.read(key).value_or(""); });
    after(10ms, [this, answer, key] {
        if (!*answer) return read_output(key);  // the question was lost with the runner
        if (!(*answer)->empty()) outputs_[key] = **answer;
        collected(key, !(*answer)->empty());
    });
}

void Slave::collected(const AttemptKey& key, bool output_here) {
    NodeAttempts::Collected what;
    const auto* attempt = attempts_.find(key);
    if (attempt != nullptr && !attempt->output_file.empty()) what.output_blob = blob_of(key);
    if (attempt != nullptr && attempt->brings_files()) what.files = blob_of(key);
    what.output_here = output_here;
    Effects effects;
    attempts_.on_collected(key, what, effects);
    apply(std::move(effects));
    attempt = attempts_.find(key);
    if (attempt == nullptr || !attempt->output_here) outputs_.erase(key);
}

// -------------------------------------------------------------------------------- to the master

void Slave::carry_out(const NodeAttempts::SendResync& effect, Effects&) {
    std::set<AttemptKey> listed;
    for (const auto& state : effect.attempts) listed.insert(state.key);
    for (const auto& [key, durable] : board_.finished)
        if (!listed.contains(key))
            throw Violation(Kind::lost, board_.name + " has forgotten the end of " + name_of(key) +
                                            ", which the master has not got");
    Resync message;
    message.attempts = effect.attempts;
    send(std::move(message));
}

void Slave::carry_out(const NodeAttempts::SendStarted& effect, Effects&) {
    AttemptsStarted message;
    message.attempts = effect.attempts;
    send(std::move(message));
}

void Slave::carry_out(const NodeAttempts::SendRetracted& effect, Effects&) {
    AttemptsRetracted message;
    message.attempts = effect.attempts;
    send(std::move(message));
}

void Slave::carry_out(const NodeAttempts::SendReport& effect, Effects&) {
    Due due;
    due.key = effect.key;
    if (const auto output = outputs_.extract(effect.key)) due.output = std::move(output.mapped());
    reports_due_.push_back(std::move(due));
    if (reports_due_.size() == 1) after(50us, [this] { send_reports(); });
}

void Slave::send_reports() {
    if (!joined_) return;
    ReportPages pages([this](const AttemptsEnded& page, std::string_view raw) {
        send(Reports{page, std::string(raw)});
    });
    AckAttempts sent;
    for (const auto& due : std::exchange(reports_due_, {})) {
        sent.attempts.push_back(due.key);
        const auto* attempt = attempts_.find(due.key);
        if (attempt == nullptr) continue;
        auto report = attempt->report;
        report.age_seconds = to_seconds(now() - attempt->ended_at);
        pages.add(std::move(report), due.output);
    }
    pages.flush();
    if (!planted("forget_when_sent")) return;
    Effects effects;
    attempts_.on_acknowledged(now(), sent, effects);
    apply(std::move(effects));
}

void Slave::carry_out(const NodeAttempts::EndLink& effect, Effects&) {
    disconnect(effect.reason);
}

}  // namespace rpic::sim
