#include <algorithm>
#include <utility>

#include "common/limits.hpp"
#include "common/text.hpp"
#include "master/core/jobs.hpp"

/// Nodes that come and go, and what of their room is in use.
namespace rpic {

Moment Jobs::moment(Instant at) const {
    const auto passed = std::chrono::duration_cast<std::chrono::milliseconds>(at - last_.at);
    return Moment{at, last_.wall_ms + passed.count()};
}

Worker* Jobs::worker_of(SessionId session) {
    const auto found = by_session_.find(session);
    return found == by_session_.end() ? nullptr : found->second;
}

Worker& Jobs::worker_for(const Node& node) {
    auto& worker = workers_[node.record.id];
    if (worker.node == nullptr) {
        worker.node = &node;
        worker.labels = labels_of(node.record);
    }
    return worker;
}

Needs Jobs::needs_of(const Job& job) const {
    return Needs{job.cpus_milli, job.spec->memory_bytes, job.spec->resources};
}

/// One that has ended takes nothing any more, only its report is still to come.
void Jobs::occupy(Worker& worker, const Job& job, const Ref& ref, Place place) {
    const Worker::AttemptId id{ref.job, ref.position, ref.number};
    auto& held = worker.attempts[id];
    if (place != Place::ended) held.needs = needs_of(job);
    held.submitter = job.status.submitter;
    held.ahead = place == Place::ahead;
    if (held.ahead) {
        worker.ahead.push_back(id);
        ++waiting_ahead_;
    } else {
        worker.occupy(held.needs);
        if (held.needs.cpus_milli > 0) used_milli_[held.submitter] += held.needs.cpus_milli;
    }
}

void Jobs::vacate(Worker& worker, const Ref& ref) {
    const Worker::AttemptId id{ref.job, ref.position, ref.number};
    const auto found = worker.attempts.find(id);
    if (found == worker.attempts.end()) return;
    if (found->second.ahead) {
        std::erase(worker.ahead, id);
        --waiting_ahead_;
    } else {
        const auto& held = found->second;
        worker.vacate(held.needs);
        const auto used = used_milli_.find(held.submitter);
        if (used != used_milli_.end() && (used->second -= held.needs.cpus_milli) <= 0)
            used_milli_.erase(used);
    }
    not_retracted(worker, ref);
    worker.attempts.erase(found);
    start_ahead(worker);
}

/// It was not given back, or there is no need to wait for that any more.
void Jobs::not_retracted(Worker& worker, const Ref& ref) {
    const auto found = worker.attempts.find({ref.job, ref.position, ref.number});
    if (found == worker.attempts.end() || !found->second.retracting) return;
    found->second.retracting = false;
    --worker.retracting;
}

/// The node starts what waits there as soon as it fits, in order; the books follow.
void Jobs::start_ahead(Worker& worker) {
    while (!worker.ahead.empty()) {
        const auto id = worker.ahead.front();
        auto& held = worker.attempts.at(id);
        if (!worker.fits(held.needs)) return;
        worker.ahead.pop_front();
        --waiting_ahead_;
        held.ahead = false;
        worker.occupy(held.needs);
        const auto& [job_id, position, number] = id;
        Job* job = find(job_id);
        if (held.needs.cpus_milli > 0) used_milli_[held.submitter] += held.needs.cpus_milli;
        if (job == nullptr) continue;
        if (const auto task = job->active.find(position); task != job->active.end())
            if (auto* attempt = task->second.find(number))
                job->change(task->second, [&] { attempt->ahead = false; });
        touch(*job);
    }
}

// ------------------------------------------------------------------------------ coming and going

std::vector<Verdict> Jobs::on_resync(Moment now, SessionId session, const Node& node,
                                     const std::vector<AttemptState>& attempts, Effects& effects) {
    Worker& worker = worker_for(node);
    worker.node = &node;
    worker.labels = labels_of(node.record);
    if (worker.session != 0) by_session_.erase(worker.session);
    worker.session = session;
    worker.power_ordered = false;
    by_session_[session] = &worker;
    std::vector<Ref> before;
    for (const auto& [id, held] : worker.attempts)
        before.push_back({std::get<0>(id), std::get<1>(id), std::get<2>(id)});
    for (const auto& ref : before) vacate(worker, ref);
    for (const auto& [job, position, number] : std::exchange(worker.detached, {}))
        before.push_back({job, position, number});
    std::set<Ref> present;
    std::vector<Verdict> verdicts;
    for (const auto& told : attempts) {
        Verdict verdict;
        verdict.key = told.key;
        verdict.verdict = take_over(worker, told, present, effects) ? "adopt"
                          : told.state == "ended"                   ? "ack"
                                                                    : "kill";
        if (verdict.verdict != "adopt" && told.state == "ended") ++counters_.late_results;
        verdicts.push_back(std::move(verdict));
    }
    for (const auto& ref : before)
        if (!present.contains(ref)) lose_attempt(now, ref, node.record.id, true, effects);
    start_ahead(worker);
    something_new_ = true;
    return verdicts;
}

/// Takes up an attempt that a node has; false if it is not one of those that are wanted there.
bool Jobs::take_over(Worker& worker, const AttemptState& told, std::set<Ref>& present,
                     Effects& effects) {
    Job* job = find(told.key.job);
    const auto position = job == nullptr ? std::nullopt : job->position(told.key.task);
    if (!position) return false;
    const auto found = job->active.find(*position);
    if (found == job->active.end()) return false;
    auto& task = found->second;
    auto* attempt = task.find(told.key.attempt);
    if (attempt == nullptr || attempt->node != worker.node->record.id) return false;
    const Ref ref{job->status.id, *position, attempt->number};
    if (!present.insert(ref).second) return true;
    const bool ended = told.state == "ended";
    attempt->started = told.state != "waiting";
    job->change(task, [&] {
        attempt->detached = false;
        attempt->ahead = !attempt->started;
    });
    occupy(worker, *job, ref,
           ended            ? Place::ended
           : attempt->ahead ? Place::ahead
                            : Place::running);
    // A restart of the master has forgotten whom it told.
    const bool cancelled = job->status.cancelled || task.cancelled;
    if ((attempt->stopping || cancelled) && !ended) {
        attempt->stopping = false;  // told again, now that it hears us
        const bool drained = attempt->requeue && !cancelled;
        stop(*job, *position, *attempt, drained ? "drained" : "cancelled", effects);
    }
    if (task.waiting) {
        // It was to run elsewhere, but that has not begun.
        task.waiting = false;
        job->take(*position);
    }
    update_queue(*job);
    touch(*job);
    return true;
}

/// The attempt does not run on that node any more. `started_counts`: if it was running, the node or
/// its runner went down with it.
void Jobs::lose_attempt(Moment now, const Ref& ref, std::string_view node_id, bool started_counts,
                        Effects& effects) {
    Job* job = find(ref.job);
    if (job == nullptr) return;
    const auto found = job->active.find(ref.position);
    if (found == job->active.end()) return;
    const auto* attempt = found->second.find(ref.number);
    if (attempt == nullptr || attempt->node != node_id) return;
    const bool death = started_counts && attempt->started;
    drop_attempt(*job, found->second, ref.number);
    on_death(now, *job, ref.position, node_id, "its node went down", death, effects);
    end_if_over(now, *job, effects);
}

void Jobs::on_node_silent(Instant, const Node& node, Effects&) {
    const auto found = workers_.find(node.record.id);
    if (found == workers_.end() || found->second.session == 0) return;
    by_session_.erase(found->second.session);
    found->second.session = 0;
}

void Jobs::on_node_lost(Instant at, const Node& node, Effects& effects) {
    const auto now = moment(at);
    if (const auto found = workers_.find(node.record.id); found != workers_.end())
        detach_all(now, found->second, node, effects);
}

/// Nobody knows what its attempts do now. Under `keep` others take their tasks over; under `stop`
/// they do so once the lease has certainly ended.
void Jobs::detach_all(Moment now, Worker& worker, const Node& node, Effects& effects) {
    if (worker.session != 0) by_session_.erase(worker.session);
    worker.session = 0;
    std::vector<Ref> refs;
    for (const auto& [id, held] : worker.attempts)
        refs.push_back({std::get<0>(id), std::get<1>(id), std::get<2>(id)});
    for (const auto& ref : refs) {
        vacate(worker, ref);
        Job* job = find(ref.job);
        const auto found =
            job == nullptr ? decltype(job->active.end()){} : job->active.find(ref.position);
        if (job == nullptr || found == job->active.end()) continue;
        auto* attempt = found->second.find(ref.number);
        if (attempt == nullptr || attempt->detached) continue;
        job->change(found->second, [&] { attempt->detached = true; });
        touch(*job);
        if (job->stops) {
            // The node may have heard from the master up to the last byte that came from it, or,
            // before the master's start, up to that start.
            const auto base = node.last_heard ? *node.last_heard
                                              : started_ + (lost_after_start_ - limits::lost_after);
            attempt->expires = base + job->lost_after;
            expiring_.insert({attempt->expires, ref});
            worker.detached.insert({ref.job, ref.position, ref.number});
        } else if (job->status.cancelled || found->second.cancelled) {
            lose_attempt(now, ref, node.record.id, false, effects);
        } else {
            worker.detached.insert({ref.job, ref.position, ref.number});
            ++counters_.attempts_lost;
            found->second.avoid = node.record.id;
            found->second.failed_there = false;
            // Of a node that was removed before this start of the master people were told then.
            if (const auto& name = node.record.name; !name.empty())
                effects.push_back(Happened{
                    "attempt_lost", name, ref.job, job->index(ref.position),
                    "node " + name + " is lost: task " + std::to_string(job->index(ref.position)) +
                        " of job " + std::to_string(ref.job) + " runs again elsewhere"});
            requeue(now, *job, ref.position, Duration::zero(), effects);
        }
    }
    something_new_ = true;
}

void Jobs::on_node_removed(Instant at, const Node& node, Effects& effects) {
    const auto now = moment(at);
    const auto found = workers_.find(node.record.id);
    if (found == workers_.end()) return;
    detach_all(now, found->second, node, effects);
    workers_.erase(found);
}

void Jobs::on_node_changed(const Node& node) {
    if (node.plain || node.record.role != "worker") return;
    // One that has not told its attempts yet gets no orders, but counts for what can run somewhere.
    auto& worker = worker_for(node);
    worker.node = &node;
    worker.labels = labels_of(node.record);
    something_new_ = true;
}

// --------------------------------------------------------------------------- what waits on a node

void Jobs::retract_ahead(Worker& worker, std::size_t most, Effects& effects) {
    if (worker.session == 0 || worker.retracting > 0) return;
    // The last ones of the queue are the least likely to have started meanwhile.
    for (auto id = worker.ahead.rbegin(); id != worker.ahead.rend() && most > 0; ++id, --most) {
        const auto& [job_id, position, number] = *id;
        const Job* job = find(job_id);
        if (job == nullptr) continue;
        effects.push_back(
            OrderStop{worker.session, key_of(*job, position, number), true, "retracted"});
        worker.attempts.at(*id).retracting = true;
        ++worker.retracting;
    }
}

// -------------------------------------------------------------------------------------------- time

void Jobs::on_tick(Moment now, Effects& effects) {
    last_ = now;
    end_rests(now, effects);
    while (!delayed_.empty() && delayed_.begin()->first <= now.at) {
        const auto ref = delayed_.begin()->second;
        delayed_.erase(delayed_.begin());
        Job* job = find(ref.job);
        const auto task =
            job == nullptr ? decltype(job->active.end()){} : job->active.find(ref.position);
        if (job == nullptr || task == job->active.end()) continue;
        if (!task->second.waiting || task->second.not_before > now.at) continue;
        job->put_back(ref.position);
        update_queue(*job);
        something_new_ = true;
    }
    while (!expiring_.empty() && expiring_.begin()->first <= now.at) {
        const auto ref = expiring_.begin()->second;
        expiring_.erase(expiring_.begin());
        Job* job = find(ref.job);
        const auto task =
            job == nullptr ? decltype(job->active.end()){} : job->active.find(ref.position);
        if (job == nullptr || task == job->active.end()) continue;
        const auto* attempt = task->second.find(ref.number);
        if (attempt != nullptr && attempt->detached && attempt->expires <= now.at)
            lose_attempt(now, ref, std::string(attempt->node), false, effects);
    }
    for (auto& [id, worker] : workers_) {
        finish_drain(worker, effects);
        if (!worker.drain_deadline || *worker.drain_deadline > now.at) continue;
        worker.drain_deadline.reset();
        cluster_.drain_time_over(id, effects);
        move_to_others(worker, effects);
    }
    rebalance(effects);
    renormalise_speeds();
    something_new_ = true;
}

/// Ends what runs on a node whose time to drain is over.
void Jobs::move_to_others(Worker& worker, Effects& effects) {
    for (const auto& [attempt_id, held] : worker.attempts) {
        const auto& [job_id, position, number] = attempt_id;
        Job* job = find(job_id);
        if (job == nullptr) continue;
        const auto task = job->active.find(position);
        auto* attempt = task == job->active.end() ? nullptr : task->second.find(number);
        if (attempt == nullptr || attempt->stopping) continue;
        attempt->requeue = true;
        stop(*job, position, *attempt, "drained", effects);
    }
}

/// Speeds are relative: their mean stays 1.
void Jobs::renormalise_speeds() {
    double sum = 0;
    std::int64_t count = 0;
    for (const auto& [id, worker] : workers_)
        if (worker.measured > 0) {
            sum += worker.speed;
            ++count;
        }
    if (count < 2 || sum <= 0) return;
    const double mean = sum / static_cast<double>(count);
    for (auto& [id, worker] : workers_)
        if (worker.measured > 0) worker.speed /= mean;
}

}  // namespace rpic
