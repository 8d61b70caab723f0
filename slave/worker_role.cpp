#include "slave/worker_role.hpp"

#include <unistd.h>

#include <set>

#include "common/limits.hpp"
#include "common/log.hpp"
#include "common/syntax_error.hpp"
#include "slave/report_pages.hpp"

/// The deciding half of WorkerRole: events to NodeAttempts, and its effects. The loops that act are
/// in worker_loops.cpp.
namespace rpic {

namespace {

NodeAttempts::Seen seen_of(const RunnerAttempt& attempt) {
    NodeAttempts::Seen seen;
    seen.key = attempt.key;
    seen.ended = attempt.ended;
    seen.running_seconds = attempt.running_seconds;
    seen.report = attempt.report;
    seen.output_file = attempt.output_file;
    return seen;
}

/// Sends a long list in several messages.
template <class Message>
void send_pages(Connection* link, const std::vector<AttemptKey>& keys) {
    if (link == nullptr) return;
    Message page;
    for (const auto& key : keys) {
        page.attempts.push_back(key);
        if (page.attempts.size() < limits::states_per_page) continue;
        link->send(page);
        page.attempts.clear();
    }
    if (!page.attempts.empty()) link->send(page);
}

}  // namespace

WorkerRole::WorkerRole(const asio::any_io_executor& executor, const SlaveOptions& options,
                       const Identity& identity, Holding capacity,
                       std::filesystem::path runner_program)
    : options_(options),
      identity_(identity),
      executor_(executor),
      attempts_(std::move(capacity)),
      files_(executor, options),
      runner_(executor, options.folder / "runner", std::move(runner_program), options.runner_log,
              options.runner_command),
      runner_output_(executor, runner_),
      to_prepare_(executor),
      to_fetch_(executor),
      to_collect_(executor),
      to_read_(executor),
      to_remove_(executor),
      power_commands_(executor),
      ordered_(executor),
      changed_(executor),
      ticks_(executor),
      reports_(executor),
      reports_sent_(executor) {
    surroundings_.user = options.task_user;
    surroundings_.private_temporary = options.task_user.can_reach(options.tasks / "task");
    files_.bulk().answer_output_with(
        [this](ReadOutput question) { return answer(std::move(question)); });
}

// --------------------------------------------------------------------------------------- the link

void WorkerRole::on_joined(Connection& link, const HostPort& master, const Welcome& welcome) {
    link_ = &link;
    surroundings_.node = welcome.name;
    files_.bulk().set_master(master, identity_.key());
    warn_of_closed_folders();
    Effects effects;
    if (epoch_ != 0 && epoch_ != welcome.epoch) attempts_.on_master_restored(effects);
    epoch_ = welcome.epoch;
    attempts_.on_joined(Clock::now(), effects);
    apply(std::move(effects));
}

/// Said once it has joined: whoever mistypes a flag should read about that alone.
void WorkerRole::warn_of_closed_folders() {
    if (surroundings_.private_temporary || warned_) return;
    warned_ = true;
    log_warning("tasks run as " + options_.task_user.name + ", who cannot reach " +
                options_.tasks.string() +
                " by its full name: their temporary files go to /tmp; a --state-dir that others "
                "may pass through ends that");
}

void WorkerRole::on_disconnected(std::string_view, std::string_view) {
    link_ = nullptr;
    beats_sent_.clear();
    reports_due_.clear();
    reports_bytes_ = 0;
    reports_sent_.notify();
    files_.bulk().no_master();
    attempts_.on_disconnected();
}

void WorkerRole::perform_action(Connection& link, const Vitals& vitals) {
    // Before it is sent: a lease may count from too early, never from too late.
    const auto now = Clock::now();
    Role::perform_action(link, vitals);
    beats_sent_.sent(beats(), now);
}

void WorkerRole::on_message(const ToNode& message) {
    std::visit([this](const auto& m) { take(m); }, message);
}

void WorkerRole::take(const StartTasks& orders) {
    Effects effects;
    attempts_.on_orders(Clock::now(), orders, effects);
    ordered_.notify();
    apply(std::move(effects));
}

void WorkerRole::take(const StopAttempts& stop) {
    Effects effects;
    attempts_.on_stop(Clock::now(), stop, effects);
    apply(std::move(effects));
}

void WorkerRole::take(const AckAttempts& ack) {
    Effects effects;
    attempts_.on_acknowledged(Clock::now(), ack, effects);
    apply(std::move(effects));
}

void WorkerRole::take(const DropJob& drop) {
    attempts_.on_drop_job(drop);
}

void WorkerRole::take(const Resynced& answer) {
    Effects effects;
    attempts_.on_resynced(Clock::now(), answer, effects);
    apply(std::move(effects));
}

void WorkerRole::take(const HeartbeatAck& ack) {
    const auto sent_at = beats_sent_.answered(ack.sequence);
    if (!sent_at) return;
    Effects effects;
    attempts_.on_heartbeat_acknowledged(*sent_at, effects);
    apply(std::move(effects));
}

void WorkerRole::take(const OpenBulk&) {
    files_.bulk().open();
}

void WorkerRole::take(const Power& power) {
    if (power.action != "reboot" && power.action != "poweroff") return;
    const auto& command =
        power.action == "reboot" ? options_.reboot_command : options_.poweroff_command;
    log_warning("the master orders: " + power.action + "; running \"" + command + "\"");
    power_commands_.push(command);
    PowerTaken taken;
    taken.action = power.action;
    if (link_ != nullptr) link_->send(taken);
}

// ------------------------------------------------------------------------------------- the runner

void WorkerRole::on_attached(const std::vector<RunnerAttempt>& attempts) {
    std::vector<NodeAttempts::Seen> all;
    for (const auto& attempt : attempts) {
        all.push_back(seen_of(attempt));
        // Only what an earlier slave has launched is unknown here.
        if (attempts_.find(attempt.key) == nullptr)
            all.back().job = job_in_context(attempt.context);
    }
    runner_output_.on_attached();
    Effects effects;
    attempts_.on_attached(Clock::now(), all, effects);
    apply(std::move(effects));
    remove_unknown_folders();
}

void WorkerRole::on_no_runner() {
    Effects effects;
    attempts_.on_no_runner(Clock::now(), effects);
    apply(std::move(effects));
    remove_unknown_folders();
}

void WorkerRole::on_launched(const Launched& message) {
    Effects effects;
    attempts_.on_launched(Clock::now(), message.key, effects);
    apply(std::move(effects));
}

void WorkerRole::on_ended(const RunnerAttempt& attempt, std::string_view output) {
    const auto seen = seen_of(attempt);
    const auto bytes = static_cast<std::int64_t>(output.size());
    const bool here = seen.output_file.empty() && bytes > 0 && bytes == seen.report.output_bytes;
    if (here) outputs_[seen.key] = output;
    files_.let_inputs_go(seen.key);
    if (seen.report.outcome == "node")
        log_rarely(Severity::warning, "task_not_run", "runner",
                   "cannot run " + folder_name(seen.key) + ": " +
                       printable(seen.report.reason, limits::text_chars));
    Effects effects;
    attempts_.on_ended(Clock::now(), seen, here, effects);
    apply(std::move(effects));
    let_output_go_unless_wanted(seen.key);
}

void WorkerRole::on_output(const AttemptOutput& message, std::string_view records) {
    runner_output_.on_output(message, records);
}

void WorkerRole::on_runner_gone(const std::string& reason) {
    // With nothing to do it ends by itself.
    if (attempts_.size() > 0) log_warning("lost the runner: " + reason);
    runner_output_.on_runner_gone();
    attempts_.on_runner_gone();
}

/// Once it is known which attempts there are, the folders of all others are what a crash has left.
void WorkerRole::remove_unknown_folders() {
    if (runner_known_) return;
    runner_known_ = true;
    std::set<std::string> known;
    for (const auto& state : attempts_.states()) known.insert(folder_name(state.key));
    for (const auto& name : files_.left())
        if (!known.contains(name)) to_remove_.push(name);
}

// ------------------------------------------------------------------------------------ the effects

void WorkerRole::apply(Effects effects) {
    // Carrying out one may add others.
    for (std::size_t next = 0; next < effects.size(); ++next) {
        const auto effect = effects[next];
        std::visit([&](const auto& e) { carry_out(e, effects); }, effect);
    }
    changed_.notify();
    if (tick_loop_waits_ && attempts_.next_tick()) ticks_.notify();
}

void WorkerRole::carry_out(const NodeAttempts::Prepare& effect, Effects&) {
    const auto* attempt = attempts_.find(effect.key);
    if (attempt == nullptr) return;
    const bool fetches = !attempt->job->in.empty() || !attempt->job->stdin_blob.empty();
    (fetches ? to_fetch_ : to_prepare_).push(effect.key);
}

void WorkerRole::carry_out(const NodeAttempts::Launch& effect, Effects& more) {
    const auto* attempt = attempts_.find(effect.key);
    if (attempt == nullptr) return;
    Launch order;
    try {
        order.spec = make_launch_spec(*attempt, files_.folder_of(effect.key),
                                      files_.stdin_of(effect.key), surroundings_);
        order.after = effect.after;
    } catch (const SyntaxError& error) {
        return refuse_launch(effect.key, "cannot_execute", error.what(), more);
    }
    if (runner_.send(order)) return;
    if (encode(order).size() > limits::runner_frame_bytes)
        refuse_launch(effect.key, "cannot_execute",
                      "the command and its environment are longer than " +
                          format_size(static_cast<std::int64_t>(limits::runner_frame_bytes)),
                      more);
    else
        refuse_launch(effect.key, "node", "too many tasks wait for the runner", more);
}

void WorkerRole::refuse_launch(const AttemptKey& key, const std::string& outcome,
                               const std::string& reason, Effects& more) {
    RunnerAttempt attempt;
    attempt.key = key;
    attempt.ended = true;
    attempt.report.outcome = outcome;
    attempt.report.reason = reason;
    if (outcome == "cannot_execute") attempt.report.exit_code = 126;
    files_.let_inputs_go(key);
    attempts_.on_ended(Clock::now(), seen_of(attempt), false, more);
}

void WorkerRole::carry_out(const NodeAttempts::StartNow& effect, Effects&) {
    StartHeld order;
    order.attempts.push_back(effect.key);
    runner_.send(order);
}

void WorkerRole::carry_out(const NodeAttempts::Kill& effect, Effects&) {
    KillAttempts order;
    order.attempts.push_back(effect.key);
    order.outcome = "killed";
    order.reason = effect.reason;
    runner_.send(order);
}

void WorkerRole::carry_out(const NodeAttempts::Collect& effect, Effects&) {
    const auto* attempt = attempts_.find(effect.key);
    if (attempt == nullptr) return;
    const bool sends =
        is_collecting(effect.key) && (!attempt->output_file.empty() || attempt->brings_files());
    (sends ? to_collect_ : to_read_).push(effect.key);
}

void WorkerRole::carry_out(const NodeAttempts::DropOutput& effect, Effects&) {
    outputs_.erase(effect.key);
}

void WorkerRole::carry_out(const NodeAttempts::Forget& effect, Effects&) {
    ForgetAttempts order;
    order.attempts.push_back(effect.key);
    runner_.send(order);
}

void WorkerRole::carry_out(const NodeAttempts::RemoveFolder& effect, Effects&) {
    files_.let_inputs_go(effect.key);
    to_remove_.push(folder_name(effect.key));
}

void WorkerRole::carry_out(const NodeAttempts::ExtendLease& effect, Effects&) {
    RenewLease order;
    order.sent_at_ns = effect.sent_at.time_since_epoch().count();
    runner_.send(order);
}

void WorkerRole::carry_out(const NodeAttempts::SendResync& effect, Effects&) {
    if (link_ == nullptr) return;
    Resync page;
    for (const auto& state : effect.attempts) {
        if (page.attempts.size() == limits::states_per_page) {
            page.more = true;
            link_->send(page);
            page.attempts.clear();
        }
        page.attempts.push_back(state);
    }
    page.more = false;
    link_->send(page);
}

void WorkerRole::carry_out(const NodeAttempts::SendStarted& effect, Effects&) {
    send_pages<AttemptsStarted>(link_, effect.attempts);
}

void WorkerRole::carry_out(const NodeAttempts::SendRetracted& effect, Effects&) {
    send_pages<AttemptsRetracted>(link_, effect.attempts);
}

void WorkerRole::carry_out(const NodeAttempts::SendReport& effect, Effects&) {
    Due due;
    due.key = effect.key;
    if (const auto output = outputs_.extract(effect.key)) due.output = std::move(output.mapped());
    reports_bytes_ += due.output.size();
    reports_due_.push_back(std::move(due));
    reports_.notify();
}

void WorkerRole::carry_out(const NodeAttempts::EndLink& effect, Effects&) {
    if (link_ != nullptr) link_->close(effect.reason);
}

void WorkerRole::let_output_go_unless_wanted(const AttemptKey& key) {
    const auto* attempt = attempts_.find(key);
    if (attempt == nullptr || !attempt->output_here) outputs_.erase(key);
}

void WorkerRole::send_reports() {
    if (link_ == nullptr) return;
    ReportPages pages(
        [this](const AttemptsEnded& page, std::string_view raw) { link_->send(page, raw); });
    const auto now = Clock::now();
    while (!reports_due_.empty() && link_->outbox_bytes() < limits::outbox_soft_bytes) {
        const auto due = std::move(reports_due_.front());
        reports_due_.pop_front();
        reports_bytes_ -= due.output.size();
        const auto* attempt = attempts_.find(due.key);
        if (attempt == nullptr) continue;
        auto report = attempt->report;
        report.age_seconds = to_seconds(now - attempt->ended_at);
        pages.add(std::move(report), due.output);
    }
    pages.flush();
    reports_sent_.notify();
}

}  // namespace rpic
