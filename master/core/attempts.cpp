#include <algorithm>

#include "common/limits.hpp"
#include "common/text.hpp"
#include "master/core/jobs.hpp"

/// What nodes report about attempts, and what follows from it.
namespace rpic {

namespace {

/// The first failure waits `retry_first`, each further one twice as long.
Duration retry_delay(std::int64_t failures) {
    const auto doublings = std::min<std::int64_t>(failures - 1, 16);
    return std::min<Duration>(limits::retry_max, limits::retry_first * (1 << doublings));
}

/// An exit code where the outcome implies one.
std::optional<std::int64_t> exit_code_of(const AttemptReport& report) {
    if (report.outcome == "exited") return report.exit_code.value_or(0);
    if (report.outcome == "time_limit") return 124;
    if (report.outcome == "cannot_execute") return 126;
    if (report.outcome == "not_found") return 127;
    return std::nullopt;
}

std::string words_for(const AttemptReport& report) {
    const auto detail = printable(report.reason, limits::text_chars);
    const auto with = [&](const std::string& text) {
        return detail.empty() ? text : text + ": " + detail;
    };
    if (report.outcome == "exited")
        return report.exit_code.value_or(0) == 0
                   ? detail
                   : with("exit code " + std::to_string(*report.exit_code));
    if (report.outcome == "signalled")
        return with("ended by signal " + std::to_string(report.signal.value_or(0)));
    if (report.outcome == "time_limit") return with("time limit reached");
    if (report.outcome == "memory") return with("it used more memory than it asked for");
    if (report.outcome == "cannot_execute") return with("cannot be executed");
    if (report.outcome == "not_found") return with("command not found");
    if (report.outcome == "killed") return with("cancelled");
    if (report.outcome == "runner") return with("the runner on its node was killed");
    if (report.outcome == "lease") return with("its node had lost the master for too long");
    return with("the node could not run it");
}

constexpr std::int64_t most_memory = std::int64_t{1} << 50;  // that a task may be said to have used

/// What a node says about time, taken for nothing where it makes no sense.
double sane_seconds(double told) {
    return told >= 0 && told < 1e10 ? told : 0.0;
}

/// How long ago the attempt began.
double started_ago(const AttemptReport& report) {
    return sane_seconds(report.duration_seconds) + sane_seconds(report.age_seconds);
}

TaskResult result_of(const AttemptReport& report) {
    TaskResult result;
    result.attempt = report.key.attempt;
    result.exit_code = exit_code_of(report);
    if (report.outcome == "signalled") result.signal = report.signal;
    result.reason = words_for(report);
    result.duration_seconds = sane_seconds(report.duration_seconds);
    result.cpu_seconds = sane_seconds(report.cpu_seconds);
    if (report.max_rss_bytes >= 0 && report.max_rss_bytes <= most_memory)
        result.max_rss_bytes = report.max_rss_bytes;
    // What a job is said to have printed decides which results are dropped first.
    result.output_bytes = std::clamp<std::int64_t>(report.output_bytes, 0, limits::output_bytes);
    if (is_blob_name(report.output_blob)) result.output_blob = report.output_blob;
    if (is_blob_name(report.files)) result.files = report.files;
    return result;
}

bool succeeded(const AttemptReport& report) {
    return report.outcome == "exited" && report.exit_code.value_or(0) == 0;
}

}  // namespace

/// Orders the next attempt of a task; it is on disk before the node hears of it.
void Jobs::begin(Moment now, Job& job, Position position, Worker& worker, bool ahead,
                 Effects& effects) {
    auto& task = job.active[position];
    if (task.live.size() >= limits::live_attempts) drop_attempt(job, task, task.live[0].number);
    Attempt attempt;
    attempt.number = std::max(task.last_attempt, job.status.last_attempt) + 1;
    task.last_attempt = attempt.number;
    attempt.node = worker.node->record.id;
    attempt.ahead = ahead;
    attempt.started_at = now.wall_ms / 1000;
    attempt.since = now.at;
    job.status.highest_attempt = std::max(job.status.highest_attempt, attempt.number);
    job.change(task, [&] { task.live.push_back(attempt); });
    task.waiting = false;
    job.take(position);
    const double waited = to_seconds(now.at - job.waiting_since);
    job.waiting_since = now.at;
    occupy(worker, job, {job.status.id, position, attempt.number},
           ahead ? Place::ahead : Place::running);
    save_task(job, position, task, effects);
    OrderStart order;
    order.session = worker.session;
    order.job = job.status.id;
    order.position = position;
    order.order.task = job.index(position);
    order.order.attempt = attempt.number;
    order.order.ahead = ahead;
    if (job.spec->numbered) order.order.item = std::to_string(order.order.task);
    order.waited_seconds = std::max(waited, 0.0);
    effects.push_back(std::move(order));
    ++counters_.tasks_started;
    ++placed_;
    update_queue(job);
    touch(job);
}

void Jobs::save_task(const Job& job, Position position, const ActiveTask& task, Effects& effects) {
    TaskRecord record;
    record.job = job.status.id;
    record.position = position;
    record.last_attempt = task.last_attempt;
    record.failures = task.failures;
    record.deaths = task.deaths;
    record.cancelled = task.cancelled;
    record.avoid = task.avoid;
    for (const auto& attempt : task.live)
        record.live.push_back({attempt.number, attempt.node, attempt.started_at});
    effects.push_back(SaveTask{std::move(record)});
}

void Jobs::stop(Job& job, Position position, Attempt& attempt, std::string_view reason,
                Effects& effects) {
    if (attempt.stopping || attempt.detached) return;
    attempt.stopping = true;
    const auto found = workers_.find(attempt.node);
    // One that is away is told when it comes back: the attempt is not live any more then.
    if (found == workers_.end() || found->second.session == 0) return;
    effects.push_back(OrderStop{found->second.session, key_of(job, position, attempt.number), false,
                                std::string(reason)});
}

void Jobs::drop_attempt(Job& job, ActiveTask& task, std::int64_t number) {
    job.change(task, [&] {
        std::erase_if(task.live, [&](const Attempt& each) { return each.number == number; });
    });
}

/// Gives up the attempts on lost nodes: they are killed should those come back. False if there are
/// none.
bool Jobs::drop_detached(Job& job, ActiveTask& task) {
    if (job.stops) return false;
    const auto before = task.live.size();
    job.change(task, [&] {
        std::erase_if(task.live, [](const Attempt& attempt) { return attempt.detached; });
    });
    return task.live.size() < before;
}

/// The task is to run again, unless another attempt of it does or its job is cancelled.
void Jobs::requeue(Moment now, Job& job, Position position, Duration delay, Effects& effects) {
    auto& task = job.active.at(position);
    const bool runs = std::any_of(task.live.begin(), task.live.end(),
                                  [](const Attempt& attempt) { return !attempt.detached; });
    if (job.status.cancelled || task.cancelled) {
        if (!task.live.empty()) return save_task(job, position, task, effects);
        TaskResult result;
        result.attempt = task.last_attempt;
        result.reason = job.status.cancelled ? job.status.reason : "cancelled";
        return finish(now, job, position, TaskState::cancelled, std::move(result), 0, {}, effects);
    }
    if (!runs) {
        task.waiting = true;
        task.not_before = now.at + delay;
        if (delay > Duration::zero()) {
            job.set_state(position, TaskState::queued);
            delayed_.insert({task.not_before, {job.status.id, position, 0}});
        } else {
            job.put_back(position);
        }
    }
    save_task(job, position, task, effects);
    update_queue(job);
    touch(job);
}

/// The task has a result, and only this one is ever recorded.
void Jobs::finish(Moment now, Job& job, Position position, TaskState state, TaskResult result,
                  double started_ago, std::string_view output, Effects& effects) {
    result.job = job.status.id;
    result.position = position;
    result.state = state_name(state);
    result.round = job.status.round;
    if (const auto found = job.active.find(position); found != job.active.end()) {
        // What else runs of this task is wanted no more; its end is acknowledged and dropped.
        std::vector<Attempt> rest;
        job.change(found->second, [&] { rest.swap(found->second.live); });
        for (auto& attempt : rest) stop(job, position, attempt, "superseded", effects);
        job.active.erase(found);
        effects.push_back(ForgetTask{job.status.id, position});
    }
    job.set_state(position, state);
    effects.push_back(SaveResult{std::move(result), started_ago, std::string(output)});
    if (state == TaskState::failed) {
        ++counters_.tasks_failed;
        const auto& saved = std::get<SaveResult>(effects.back()).result;
        effects.push_back(Happened{"task_failed", saved.node, job.status.id, job.index(position),
                                   "task " + std::to_string(job.index(position)) + " of job " +
                                       std::to_string(job.status.id) + " failed: " + saved.reason});
        if (job.spec->max_fails && job.failed() > *job.spec->max_fails)
            cancel(now, job, "more than " + std::to_string(*job.spec->max_fails) + " tasks failed",
                   effects);
    } else if (state == TaskState::done) {
        ++counters_.tasks_done;
    }
    update_queue(job);
    touch(job);
    end_if_over(now, job, effects);
}

void Jobs::on_started(Moment now, SessionId session, const std::vector<AttemptKey>& attempts) {
    auto* worker = worker_of(session);
    if (worker == nullptr) return;
    for (const auto& key : attempts) {
        Job* job = find(key.job);
        const auto position = job == nullptr ? std::nullopt : job->position(key.task);
        if (!position) continue;
        const auto task = job->active.find(*position);
        if (task == job->active.end()) continue;
        auto* attempt = task->second.find(key.attempt);
        if (attempt == nullptr || attempt->node != worker->node->record.id || attempt->started)
            continue;
        attempt->started = true;
        job->change(task->second, [&] { attempt->ahead = false; });
        attempt->since = now.at;
        not_retracted(*worker, {key.job, *position, key.attempt});
        touch(*job);
    }
}

void Jobs::on_retracted(Moment now, SessionId session, const std::vector<AttemptKey>& attempts,
                        Effects& effects) {
    auto* worker = worker_of(session);
    if (worker == nullptr) return;
    for (const auto& key : attempts) {
        Job* job = find(key.job);
        const auto position = job == nullptr ? std::nullopt : job->position(key.task);
        if (!position || !worker->attempts.contains({key.job, *position, key.attempt})) {
            ++counters_.unknown_attempts;
            continue;
        }
        vacate(*worker, {key.job, *position, key.attempt});
        ++counters_.attempts_retracted;
        const auto found = job->active.find(*position);
        if (found == job->active.end() || found->second.find(key.attempt) == nullptr) continue;
        drop_attempt(*job, found->second, key.attempt);
        requeue(now, *job, *position, Duration::zero(), effects);
        end_if_over(now, *job, effects);
    }
    something_new_ = true;
}

void Jobs::on_ended(Moment now, SessionId session, const AttemptReport& report,
                    std::string_view output, Effects& effects) {
    auto* worker = worker_of(session);
    if (worker == nullptr) return;
    const auto& key = report.key;
    // Whatever becomes of it, the node may forget it once what follows here is on disk.
    Job* job = find(key.job);
    const auto position = job == nullptr ? std::nullopt : job->position(key.task);
    const bool held = position && worker->attempts.contains({key.job, *position, key.attempt});
    if (held) vacate(*worker, {key.job, *position, key.attempt});
    something_new_ = true;
    const auto task = held ? job->active.find(*position) : decltype(job->active.end()){};
    const auto* attempt =
        held && task != job->active.end() ? task->second.find(key.attempt) : nullptr;
    if (attempt == nullptr) {
        ++(held ? counters_.late_results : counters_.unknown_attempts);
        effects.push_back(OrderAck{session, key});
        return;
    }
    TaskResult result = result_of(report);
    result.node = worker->node->record.name;
    if (succeeded(report))
        on_success(now, *job, *position, *worker, std::move(result), report, output, effects);
    else
        on_failure(now, *job, *position, *worker, std::move(result), report, output, effects);
    effects.push_back(OrderAck{session, key});
    finish_drain(*worker, effects);
}

void Jobs::on_success(Moment now, Job& job, Position position, Worker& worker, TaskResult result,
                      const AttemptReport& report, std::string_view output, Effects& effects) {
    auto& task = job.active.at(position);
    worker.failures_in_row = worker.broken_in_row = worker.blames = 0;
    if (task.failed_there && task.avoid != worker.node->record.id)
        if (const auto blamed = workers_.find(task.avoid); blamed != workers_.end())
            blame(blamed->second, "tasks failed there that succeeded elsewhere", effects);
    drop_attempt(job, task, report.key.attempt);
    measure(job, worker, result.duration_seconds);
    const double ago = started_ago(report);
    finish(now, job, position, TaskState::done, std::move(result), ago, output, effects);
}

void Jobs::on_failure(Moment now, Job& job, Position position, Worker& worker, TaskResult result,
                      const AttemptReport& report, std::string_view output, Effects& effects) {
    auto& task = job.active.at(position);
    const Attempt attempt = *task.find(report.key.attempt);
    const auto& node_id = worker.node->record.id;
    drop_attempt(job, task, attempt.number);
    const double ago = started_ago(report);
    const bool cancelled = job.status.cancelled || task.cancelled;
    if (cancelled || (attempt.stopping && !attempt.requeue)) {
        result.reason = job.status.cancelled ? job.status.reason : "cancelled";
        return finish(now, job, position, TaskState::cancelled, std::move(result), ago, output,
                      effects);
    }
    // One on a lost node may never be heard of again: it is no reason to run this one for ever.
    const bool another = std::any_of(task.live.begin(), task.live.end(), [](const Attempt& other) {
        return !other.stopping && !other.detached;
    });
    if (report.outcome == "runner") {
        on_death(now, job, position, node_id, "its runner was killed", true, effects);
    } else if (attempt.requeue) {
        requeue(now, job, position, Duration::zero(), effects);
    } else if (report.outcome == "lease" || report.outcome == "killed") {
        // Nobody asked for that: not at once, so that a node cannot keep the disk busy with it.
        requeue(now, job, position, limits::retry_first, effects);
    } else if (report.outcome == "node") {
        on_refusal(now, job, position, worker, result.reason, effects);
    } else if (another) {
        requeue(now, job, position, Duration::zero(), effects);
    } else if (++task.failures > job.spec->retries) {
        ++worker.failures_in_row;
        const auto elsewhere = job.count(TaskState::done);
        if (worker.failures_in_row >= limits::quarantine_failures &&
            elsewhere >= 4 * (job.failed() + 1 - worker.failures_in_row) && elsewhere >= 4)
            blame(worker, "tasks failed there that succeeded elsewhere", effects);
        finish(now, job, position, TaskState::failed, std::move(result), ago, output, effects);
    } else {
        ++worker.failures_in_row;
        task.avoid = node_id;
        task.failed_there = true;
        task.complaint = result.reason + "; it runs again soon";
        requeue(now, job, position, retry_delay(task.failures), effects);
    }
}

/// The node could not run it, as with a full disk. A node that says so of task after task is
/// broken, a task that node after node refuses cannot run; one node that says the same again proves
/// nothing.
void Jobs::on_refusal(Moment now, Job& job, Position position, Worker& worker, std::string_view why,
                      Effects& effects) {
    auto& task = job.active.at(position);
    const auto& node_id = worker.node->record.id;
    task.complaint = why;
    if (task.avoid == node_id) {
        ++counters_.attempts_lost;
        return requeue(now, job, position, retry_delay(++task.refusals), effects);
    }
    task.refusals = 1;
    if (++worker.broken_in_row >= limits::quarantine_failures) blame(worker, why, effects);
    on_death(now, job, position, node_id, why, true, effects);
}

/// The attempt is gone without an answer. This never consumes a retry, but a task that takes nodes
/// or runners with it is stopped.
void Jobs::on_death(Moment now, Job& job, Position position, std::string_view node_id,
                    std::string_view why, bool counts, Effects& effects) {
    auto& task = job.active.at(position);
    ++counters_.attempts_lost;
    task.avoid = node_id;
    task.failed_there = false;
    if (counts) {
        ++task.deaths;
        const auto index = job.index(position);
        effects.push_back(Happened{"attempt_lost", name_of(node_id), job.status.id, index,
                                   "task " + std::to_string(index) + " of job " +
                                       std::to_string(job.status.id) +
                                       " was lost: " + std::string(why)});
    }
    if (task.deaths < limits::poison_deaths || !task.live.empty())
        return requeue(now, job, position, counts ? limits::retry_first : Duration::zero(),
                       effects);
    TaskResult result;
    result.attempt = task.last_attempt;
    result.node = name_of(node_id);
    result.reason = "poison: " + std::to_string(task.deaths) +
                    " attempts ended with their node or runner, or it refused them, the last: " +
                    std::string(why);
    finish(now, job, position, TaskState::failed, std::move(result), 0, {}, effects);
}

void Jobs::blame(Worker& worker, std::string_view why, Effects& effects) {
    const bool broken = worker.broken_in_row >= limits::quarantine_failures;
    if (!broken && ++worker.blames < limits::quarantine_failures) return;
    if (worker.node == nullptr || !worker.node->record.quarantine.empty()) return;
    ++counters_.quarantines;
    cluster_.quarantine(worker.node->record.id, why, effects);
}

/// Learns how long tasks of the job take, and how fast the node is beside the others.
void Jobs::measure(Job& job, Worker& worker, double seconds) {
    ++job.measured;
    const double share = std::max(1.0 / static_cast<double>(job.measured), 0.05);
    job.mean_seconds += (seconds * worker.speed - job.mean_seconds) * share;
    // Very short tasks measure the link and the loop, not the board.
    if (job.measured < 4 || seconds < 0.2) return;
    const double ratio = std::clamp(job.mean_seconds / seconds, 0.05, 20.0);
    ++worker.measured;
    const double weight = std::max(1.0 / static_cast<double>(worker.measured), 0.1);
    worker.speed += (ratio - worker.speed) * weight;
}

}  // namespace rpic
