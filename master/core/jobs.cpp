#include "master/core/jobs.hpp"

#include <algorithm>

#include "common/limits.hpp"
#include "common/text.hpp"

namespace rpic {

std::int64_t Jobs::attempts_of_earlier_epochs() const {
    constexpr std::int64_t attempts_per_epoch = 1'000'000;
    return (epoch_ - 1) * attempts_per_epoch;
}

Job* Jobs::find(JobId id) {
    const auto found = jobs_.find(id);
    return found == jobs_.end() ? nullptr : found->second.get();
}

const Job* Jobs::find(JobId id) const {
    const auto found = jobs_.find(id);
    return found == jobs_.end() ? nullptr : found->second.get();
}

const Worker* Jobs::worker(std::string_view node_id) const {
    const auto found = workers_.find(std::string(node_id));
    return found == workers_.end() ? nullptr : &found->second;
}

std::string Jobs::name_of(std::string_view node_id) const {
    const auto* found = worker(node_id);
    return found == nullptr || found->node == nullptr ? std::string(node_id)
                                                      : found->node->record.name;
}

AttemptKey Jobs::key_of(const Job& job, Position position, std::int64_t number) const {
    AttemptKey key;
    key.job = job.status.id;
    key.task = job.index(position);
    key.attempt = number;
    return key;
}

Job& Jobs::add(JobStatus status, std::shared_ptr<const JobSpec> spec) {
    const auto id = status.id;
    auto& job = *(jobs_[id] = std::make_unique<Job>(std::move(status), std::move(spec)));
    if (!job.spec->idempotency_key.empty())
        idempotency_[idempotency_id(job.status.submitter, job.spec->idempotency_key)] = id;
    touch(job);
    return job;
}

// -------------------------------------------------------------------------------------- the store

void Jobs::restore(JobStatus status, std::shared_ptr<const JobSpec> spec,
                   std::vector<TaskState> states, std::int64_t highest_attempt) {
    status.last_attempt = std::max(status.last_attempt, attempts_of_earlier_epochs());
    status.highest_attempt = std::max(status.highest_attempt, highest_attempt);
    next_job_ = std::max(next_job_, status.id + 1);
    const bool cancelled = status.cancelled;
    const auto reason = status.reason;
    Job& job = add(std::move(status), std::move(spec));
    if (job.ended()) return;
    if (job.status.rest_cancelled)
        states.resize(static_cast<std::size_t>(job.status.size), TaskState::cancelled);
    job.reopen(std::move(states));
    job.status.reason = reason;
    if (cancelled) job.stop_queue();
    rest_after_restore(job);
}

void Jobs::restore(const TaskRecord& record) {
    Job* job = find(record.job);
    if (job == nullptr || job->ended() || record.position >= job->status.size) return;
    job->status.highest_attempt = std::max(job->status.highest_attempt, record.last_attempt);
    if (record.live.empty() && job->status.cancelled) return;
    auto& task = job->active[record.position];
    task.last_attempt = record.last_attempt;
    task.failures = record.failures;
    task.deaths = record.deaths;
    task.cancelled = record.cancelled;
    task.avoid = record.avoid;
    for (const auto& live : record.live) {
        Attempt attempt;
        attempt.number = live.number;
        attempt.node = live.node;
        attempt.started_at = live.started_at;
        attempt.since = started_;
        attempt.stopping = job->status.cancelled || task.cancelled;
        job->change(task, [&] { task.live.push_back(attempt); });
        workers_[live.node].attempts[{record.job, record.position, live.number}] = {};
    }
    task.waiting = task.live.empty();
    if (!task.waiting)
        job->take(record.position);
    else
        job->put_back(record.position);
}

void Jobs::restored(Moment now, Effects& effects) {
    last_ = now;
    std::vector<std::string> gone;
    for (auto& [id, worker] : workers_) {
        worker.node = cluster_.find(id);
        if (worker.node == nullptr) gone.push_back(id);
    }
    std::vector<Job*> jobs;
    for (auto& [id, job] : jobs_)
        if (!job->ended()) jobs.push_back(job.get());
    for (auto* job : jobs) {
        // Where a job that it needed has failed, a user wanted it all the same: it would have been
        // cancelled together with the end of that job.
        if (!job->status.cancelled) link_dependencies(*job);
        job->waiting_since = now.at;
    }
    for (const auto& id : gone) {
        Node removed;
        removed.record.id = id;
        detach_all(now, workers_[id], removed, effects);
        workers_.erase(id);
    }
    for (const auto& [id, node] : cluster_.nodes()) {
        on_node_changed(*node);
        const auto worker = workers_.find(id);
        if (worker == workers_.end() || node->record.drain_seconds <= 0) continue;
        worker->second.drain_deadline =
            now.at + Duration(static_cast<std::int64_t>(node->record.drain_seconds * 1e9));
    }
    for (auto* job : jobs) {
        update_queue(*job);
        end_if_over(now, *job, effects);
    }
    something_new_ = true;
}

// ------------------------------------------------------------------- cancel, retry, hold, priority

void Jobs::cancel(Moment now, Job& job, std::string_view reason, Effects& effects) {
    if (job.ended() || job.status.cancelled) return;
    leave_queue(job);
    job.stop_queue();
    job.status.reason = printable(reason, limits::text_chars);
    effects.push_back(SaveJobStatus{job.status});
    std::vector<Position> idle;
    for (auto& [position, task] : job.active) {
        task.waiting = false;
        for (auto& attempt : task.live) stop(job, position, attempt, "cancelled", effects);
        // Nobody knows when a lost node comes back; its attempt is killed then. Where it has a
        // lease the job is not over before that: whoever retries it wants no two at once either.
        const bool away = drop_detached(job, task);
        if (task.live.empty())
            idle.push_back(position);
        else if (away)
            save_task(job, position, task, effects);
    }
    for (const auto position : idle) {
        job.active.erase(position);
        job.set_state(position, TaskState::cancelled);
        effects.push_back(ForgetTask{job.status.id, position});
    }
    touch(job);
    effects.push_back(
        Happened{"job_cancelled", "", job.status.id, std::nullopt,
                 "job " + std::to_string(job.status.id) + " is cancelled: " + job.status.reason});
    end_if_over(now, job, effects);
}

void Jobs::cancel_task(Moment now, Job& job, Position position, Effects& effects) {
    const auto state = job.state(position);
    if (job.ended() || (state != TaskState::queued && state != TaskState::running)) return;
    const auto found = job.active.find(position);
    if (found != job.active.end()) {
        auto& task = found->second;
        task.waiting = false;
        task.cancelled = true;
        drop_detached(job, task);
        for (auto& attempt : task.live) stop(job, position, attempt, "cancelled", effects);
        // On disk, since the answer to the user promises it.
        if (!task.live.empty()) return save_task(job, position, task, effects);
    }
    TaskResult result;
    result.attempt = found == job.active.end() ? 0 : found->second.last_attempt;
    result.reason = "cancelled before it ran";
    finish(now, job, position, TaskState::cancelled, std::move(result), 0, {}, effects);
}

std::int64_t Jobs::retry(Moment now, Job& job, std::vector<TaskState> states, bool cancelled_too,
                         Effects& effects) {
    // What still runs of it is being ended; nothing of it may begin meanwhile.
    if (job.status.cancelled && !job.ended()) return 0;
    const auto count = job.ended() ? reopen(job, std::move(states), cancelled_too)
                                   : job.queue_again(cancelled_too);
    if (count == 0) return 0;
    auto& status = job.status;
    ++status.round;
    if (cancelled_too) {
        status.cancelled_round = status.round;
        status.rest_cancelled = false;
    }
    status.last_attempt = std::max(status.last_attempt, status.highest_attempt);
    effects.push_back(SaveJobStatus{status});
    job.waiting_since = now.at;
    update_queue(job);
    touch(job);
    return count;
}

/// An ended job goes on with those tasks that are taken up; returns how many these are.
std::int64_t Jobs::reopen(Job& job, std::vector<TaskState> states, bool cancelled_too) {
    states.resize(static_cast<std::size_t>(job.status.size), TaskState::cancelled);
    std::int64_t count = 0;
    for (auto& state : states) {
        if (!is_taken_up(state, cancelled_too)) continue;
        state = TaskState::queued;
        ++count;
    }
    if (count == 0) return 0;
    auto& status = job.status;
    status.rest_cancelled = !cancelled_too && (status.cancelled || status.rest_cancelled);
    status.rest_round = status.round;
    status.held = false;  // whoever asks for that wants it to run
    job.reopen(std::move(states));
    link_dependencies(job);
    hold_dependents(status.id);
    rest_after_restore(job);
    return count;
}

void Jobs::hold(Moment now, Job& job, bool held, Effects& effects) {
    if (job.ended() || job.status.held == held) return;
    job.status.held = held;
    job.waiting_since = now.at;
    effects.push_back(SaveJobStatus{job.status});
    update_queue(job);
    touch(job);
    if (!held) return;
    for (auto& [id, worker] : workers_)
        if (std::any_of(worker.ahead.begin(), worker.ahead.end(),
                        [&](const auto& one) { return std::get<0>(one) == job.status.id; }))
            retract_ahead(worker, worker.ahead.size(), effects);
}

void Jobs::set_priority(Job& job, std::int64_t priority, Effects& effects) {
    if (job.ended()) return;
    leave_queue(job);
    job.status.priority = priority;
    effects.push_back(SaveJobStatus{job.status});
    update_queue(job);
    touch(job);
}

bool Jobs::forget(JobId id) {
    const auto found = jobs_.find(id);
    if (found == jobs_.end() || !found->second->ended()) return false;
    const auto& job = *found->second;
    // What a node may still have of it is named by the job, which nobody will know any more.
    for (auto& [node_id, worker] : workers_)
        for (auto held = worker.attempts.lower_bound({id, 0, 0});
             held != worker.attempts.end() && std::get<0>(held->first) == id;
             held = worker.attempts.lower_bound({id, 0, 0}))
            vacate(worker, {id, std::get<1>(held->first), std::get<2>(held->first)});
    if (!job.spec->idempotency_key.empty())
        idempotency_.erase(idempotency_id(job.status.submitter, job.spec->idempotency_key));
    jobs_.erase(found);
    ++version_;
    return true;
}

// --------------------------------------------------------------------------------------- the end

void Jobs::end_if_over(Moment now, Job& job, Effects& effects) {
    if (job.status.ended || !job.all_ended()) return;
    leave_queue(job);
    job.status.done = job.count(TaskState::done);
    job.status.failed = job.count(TaskState::failed);
    if (job.status.reason.empty() && job.status.failed > 0)
        job.status.reason = std::to_string(job.status.failed) + " of " +
                            std::to_string(job.status.size) + " tasks failed";
    job.status.ended = true;
    job.status.finished_at = now.wall_ms / 1000;
    job.shrink();
    effects.push_back(SaveJobStatus{job.status});
    effects.push_back(JobEnded{job.status.id});
    effects.push_back(Happened{"job_ended", "", job.status.id, std::nullopt,
                               "job " + std::to_string(job.status.id) + " is " + job.state_text()});
    touch(job);
    if (!job.spec->notify.empty()) submit_notification(now, job, effects);
    // Chains of jobs may be longer than the stack is deep.
    ended_.push_back(job.status.id);
    if (releasing_) return;
    releasing_ = true;
    for (; !ended_.empty(); ended_.pop_front())
        if (const auto* over = find(ended_.front())) release_dependents(now, *over, effects);
    releasing_ = false;
}

/// What --notify asks for is a job like any other, so that it is not lost either.
void Jobs::submit_notification(Moment now, const Job& job, Effects& effects) {
    auto spec = std::make_shared<JobSpec>();
    spec->name = "notify-" + std::to_string(job.status.id);
    spec->command = {"/bin/sh", "-c", job.spec->notify};
    spec->where = job.spec->where;
    spec->retries = 3;
    spec->cpus = 0;
    spec->env = job.spec->env;
    spec->env["NOTIFY_JOB"] = std::to_string(job.status.id);
    spec->env["NOTIFY_NAME"] = job.spec->name;
    spec->env["NOTIFY_STATE"] = job.state_text();
    spec->env["NOTIFY_REASON"] = job.status.reason;
    const auto outcome = submit(now, spec, job.status.submitter, 0, effects);
    if (const auto* refusal = std::get_if<Refusal>(&outcome))
        effects.push_back(Announce{true,
                                   "nobody is notified of the end of job " +
                                       std::to_string(job.status.id) + ": " + refusal->reason,
                                   "notify", job.status.submitter});
}

// ------------------------------------------------------------------------------------------ queues

std::string Jobs::shape_of(const Job& job) const {
    std::string shape = std::to_string(job.cpus_milli) + '/' +
                        std::to_string(job.spec->memory_bytes) + (job.stops ? "/s" : "/k");
    for (const auto& [name, count] : job.spec->resources)
        shape += '/' + name + '=' + std::to_string(count);
    for (const auto& [arch, blob] : job.spec->in_arch) shape += '/' + arch;
    shape += '?' + job.spec->where;
    // Tasks that are meant for one node each compete with nobody.
    if (!job.spec->on_each.empty()) shape += '#' + std::to_string(job.status.id);
    return shape;
}

Jobs::QueueKey Jobs::queue_key(const Job& job) const {
    return QueueKey{shape_of(job), job.status.submitter, job.status.priority};
}

/// A job stands in a queue as long as it has tasks that could be started.
void Jobs::update_queue(Job& job) {
    const bool at_limit = job.status.task_limit > 0 && job.live_attempts() >= job.status.task_limit;
    const bool ready = !job.ended() && !job.status.held && !job.status.cancelled &&
                       job.waits_for == 0 && !at_limit && !job.rests_until && job.has_waiting();
    if (ready == job.in_queue) return;
    if (!ready) return leave_queue(job);
    queues_[queue_key(job)].jobs.insert(job.status.id);
    job.in_queue = true;
    something_new_ = true;
}

/// The master that made a backup may have started attempts since then, of which a restored one
/// knows nothing. Under `stop` they end with their lease, which nobody has extended since this
/// master started; a node that comes back before that ends them when it is told to.
void Jobs::rest_after_restore(Job& job) {
    if (!job.stops || job.status.epoch >= epoch_) return;
    job.rests_until = started_ + job.lost_after;
    resting_.insert(job.status.id);
}

void Jobs::end_rests(Moment now, Effects& effects) {
    std::erase_if(resting_, [&](JobId id) {
        Job* job = find(id);
        if (job == nullptr || job->ended()) return true;
        if (now.at < *job->rests_until) return false;
        job->rests_until.reset();
        job->status.epoch = epoch_;
        job->waiting_since = now.at;
        effects.push_back(SaveJobStatus{job->status});
        update_queue(*job);
        return true;
    });
}

void Jobs::leave_queue(Job& job) {
    if (!job.in_queue) return;
    job.in_queue = false;
    const auto found = queues_.find(queue_key(job));
    found->second.jobs.erase(job.status.id);
    if (found->second.jobs.empty()) queues_.erase(found);
}

// ------------------------------------------------------------------------------------------- views

JobView Jobs::view(const Job& job) const {
    JobView view;
    view.id = std::to_string(job.status.id);
    view.name = job.spec->name;
    view.state = job.state_text();
    for (const auto state : {TaskState::queued, TaskState::running, TaskState::done,
                             TaskState::failed, TaskState::cancelled})
        view.tasks[std::string(state_name(state))] = job.count(state);
    // What waits on a node has begun for the scheduler alone.
    const auto waiting = job.waiting_on_nodes();
    view.tasks["running"] -= waiting;
    view.tasks["queued"] += waiting;
    view.submitted_at = rfc3339(job.status.submitted_at);
    if (job.ended()) view.finished_at = rfc3339(job.status.finished_at);
    if (!job.status.reason.empty()) view.reason = job.status.reason;
    view.submitter = job.status.submitter;
    view.priority = job.status.priority;
    view.command = job.spec->command;
    view.array = job.spec->array;
    view.nodes = job.nodes();
    return view;
}

TaskView Jobs::task_view(const Job& job, Position position) const {
    TaskView view;
    view.index = job.index(position);
    view.state = state_name(job.state(position));
    const auto found = job.active.find(position);
    if (found == job.active.end()) return view;
    const auto& task = found->second;
    view.attempt = task.last_attempt;
    if (!task.complaint.empty()) view.reason = task.complaint;
    for (const auto& attempt : task.live) {
        if (attempt.detached && view.node != "") continue;
        view.node = name_of(attempt.node);
        view.attempt = attempt.number;
        view.reason.reset();
        if (attempt.ahead)
            view.reason = "waits on the node";
        else
            view.started_at = rfc3339(attempt.started_at);
        if (attempt.detached) view.reason = "its node is lost";
    }
    if (task.waits_on_node()) view.state = state_name(TaskState::queued);
    return view;
}

std::map<std::string, std::int64_t> Jobs::count_by_state() const {
    std::map<std::string, std::int64_t> counts;
    for (const char* state : {"queued", "held", "running", "done", "failed", "cancelled"})
        counts[state] = 0;
    for (const auto& [id, job] : jobs_) ++counts[job->state_text()];
    return counts;
}

}  // namespace rpic
