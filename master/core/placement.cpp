#include <algorithm>
#include <cmath>
#include <queue>

#include "common/limits.hpp"
#include "common/text.hpp"
#include "master/core/jobs.hpp"
#include "master/core/rival.hpp"

/// Which task goes to which node. A turn does a bounded amount of work, whatever waits: it looks at
/// the first jobs of each kind, submitter and priority, and at the nodes once for each kind.
namespace rpic {

namespace {

// A job that waits so long moves up by one priority, so that nobody waits for ever.
constexpr auto ageing = std::chrono::minutes(10);

// A job that the first in line cannot start for so long gets a node kept free for it.
constexpr auto reserve_after = std::chrono::seconds(30);

// Below this mean duration it pays to let tasks wait on the node itself.
constexpr double ahead_below_seconds = 10;

// A retried task waits so long for another node than the one where it failed.
constexpr auto avoid_for = std::chrono::seconds(10);

// Of a job so many tasks that run again are looked at for one that has a node to go to, and so many
// jobs are passed over in a turn because theirs have none.
constexpr std::size_t tasks_looked_at = 8;
constexpr std::size_t jobs_passed_over = 256;

}  // namespace

/// The job that is next among those of one kind, submitter and priority.
struct Jobs::Head {
    QueueKey key;
    Job* job = nullptr;
    std::int64_t priority = 0;  // with its age
    bool reserved = false;      // a node is kept free for it
    std::int64_t used_milli = 0;

    /// Whether `other` goes first.
    bool operator<(const Head& other) const {
        if (priority != other.priority) return priority < other.priority;
        if (reserved != other.reserved) return other.reserved;
        if (used_milli != other.used_milli) return used_milli > other.used_milli;
        return job->status.id > other.job->status.id;
    }
};

/// A task, and the node to which it goes: none if there is none.
struct Jobs::Pick {
    Position position = 0;
    Worker* worker = nullptr;
};

/// The nodes on which tasks of one kind could start, best first.
struct Jobs::Candidates {
    struct Entry {
        double cost = 0;
        Worker* worker = nullptr;
        bool operator<(const Entry& other) const { return cost > other.cost; }
    };
    std::priority_queue<Entry> free;
};

namespace {

/// How busy the node would be with one task more, seen through its speed and health: the work goes
/// where this is lowest.
double cost_of(const Worker& worker, const Needs& needs) {
    const double cpus = std::max(static_cast<double>(worker.cpus_milli()), 1.0);
    double cost = static_cast<double>(worker.used.cpus_milli + needs.cpus_milli) / cpus;
    cost += worker.foreign_load() * 1000 / cpus;
    if (worker.node->health.weighs_less()) cost += 0.5;
    return cost / std::max(worker.speed, 0.01);
}

}  // namespace

bool Jobs::eligible(const Job& job, const Worker& worker) const {
    if (!worker.takes_work() || !worker.fits(needs_of(job), true)) return false;
    const auto& arches = job.spec->in_arch;
    if (!arches.empty() && !arches.contains(worker.node->record.machine.arch)) return false;
    return job.where.matches(worker.facts());
}

Jobs::Candidates Jobs::candidates_for(const Job& job) {
    Candidates candidates;
    const auto needs = needs_of(job);
    for (auto& [id, worker] : workers_) {
        if (!worker.ahead.empty() || !worker.fits(needs) || !eligible(job, worker)) continue;
        candidates.free.push({cost_of(worker, needs), &worker});
    }
    return candidates;
}

/// Only the last tasks of a job have any.
std::vector<Jobs::Rival> Jobs::rivals_for(Moment now, const Job& job) const {
    std::vector<Rival> rivals;
    if (job.measured < 4 || job.waiting_count() > 64) return rivals;
    for (const auto& [position, task] : job.active) {
        for (const auto& attempt : task.live) {
            if (attempt.ahead || attempt.detached) continue;
            const auto* other = worker(attempt.node);
            if (other == nullptr || !other->takes_work()) continue;
            const double there = job.mean_seconds / std::max(other->speed, 0.01);
            // One that takes longer than was expected will do so for as long again: nobody waits
            // without end for a task that hangs.
            const double rest = std::abs(there - to_seconds(now.at - attempt.since));
            rivals.push_back({other, (rest + there) * 1.1});
        }
    }
    return rivals;
}

/// Whether a faster board will have finished this task before `worker` would have: then the last
/// tasks of a job wait for it.
bool Jobs::worth_waiting(const Job& job, const Worker& worker,
                         const std::vector<Rival>& rivals) const {
    const double here = job.mean_seconds / std::max(worker.speed, 0.01);
    const auto better = std::count_if(rivals.begin(), rivals.end(), [&](const Rival& rival) {
        return rival.worker != &worker && rival.worker->speed >= worker.speed * 1.25 &&
               rival.end_seconds < here;
    });
    return better > 0 && better >= job.waiting_count();
}

Jobs::Unfit Jobs::unfit(Moment now, const Job& job, const ActiveTask* task, const Worker& worker,
                        const Worker* reserved) const {
    if (&worker == reserved) return Unfit::kept_free;
    if (task == nullptr) return Unfit::no;
    const auto& id = worker.node->record.id;
    for (const auto& attempt : task->live)
        if (attempt.node == id) return Unfit::runs_there;
    const bool avoids = task->avoid == id && now.at - task->not_before < avoid_for &&
                        std::any_of(workers_.begin(), workers_.end(), [&](const auto& other) {
                            return other.first != id && eligible(job, other.second);
                        });
    return avoids ? Unfit::avoids_it : Unfit::no;
}

/// For explain(), of a node on which the tasks of the job fit: why none of those that are next goes
/// there; empty if one does as soon as it is its turn.
std::string Jobs::why_passed_over(Moment now, const Job& job, const Worker& worker) const {
    if (!job.spec->on_each.empty()) return {};
    if (worker.node->record.id == reserved_node_ && reserved_for_ != job.status.id)
        return "it is kept free for job " + std::to_string(reserved_for_) +
               ", which has waited for longer";
    if (job.frontier() < job.status.size) return {};  // one that never ran goes anywhere
    std::string why;
    std::size_t looks = 0;
    const auto& requeued = job.requeued();
    for (auto next = requeued.next(0); next; next = requeued.next(*next + 1)) {
        if (++looks > tasks_looked_at) break;
        const auto position = *next;
        const auto found = job.active.find(position);
        const auto* task = found == job.active.end() ? nullptr : &found->second;
        const auto reason = unfit(now, job, task, worker, nullptr);
        if (reason == Unfit::no) return {};
        if (!why.empty()) continue;
        const auto name = "task " + std::to_string(job.index(position));
        if (reason == Unfit::runs_there)
            why = name + " was lost there and may still run there, so it waits for another node";
        else
            why = name + (task->failed_there ? " failed there" : " was lost there") +
                  " and waits " + format_duration(to_seconds(avoid_for)) + " for another node";
    }
    return why;
}

/// The best node for this task among the candidates, or none.
Worker* Jobs::choose(Moment now, const Job& job, Position position,
                     const std::vector<Rival>& rivals, const Worker* reserved,
                     Candidates& candidates) const {
    const auto found = job.active.find(position);
    const auto* task = found == job.active.end() ? nullptr : &found->second;
    const auto needs = needs_of(job);
    std::vector<Candidates::Entry> passed_over;
    Worker* chosen = nullptr;
    while (!candidates.free.empty() && chosen == nullptr) {
        auto entry = candidates.free.top();
        candidates.free.pop();
        if (!entry.worker->fits(needs)) continue;
        const double cost = cost_of(*entry.worker, needs);
        if (cost > entry.cost + 1e-9) {
            entry.cost = cost;
            candidates.free.push(entry);
        } else if (unfit(now, job, task, *entry.worker, reserved) != Unfit::no ||
                   worth_waiting(job, *entry.worker, rivals)) {
            passed_over.push_back(entry);
        } else {
            chosen = entry.worker;
            candidates.free.push(entry);
        }
    }
    for (const auto& entry : passed_over) candidates.free.push(entry);
    return chosen;
}

/// The next task of the job that has a node to go to. One that waits for another node than the free
/// ones does not keep the others back.
Jobs::Pick Jobs::pick(Moment now, const Job& job, const Worker* reserved,
                      Candidates& candidates) const {
    Pick pick;
    if (candidates.free.empty()) return pick;
    const auto rivals = rivals_for(now, job);
    std::size_t looks = 0;
    const auto& requeued = job.requeued();
    for (auto next = requeued.next(0); next; next = requeued.next(*next + 1)) {
        if (++looks > tasks_looked_at || candidates.free.empty()) return pick;
        pick.position = *next;
        pick.worker = choose(now, job, pick.position, rivals, reserved, candidates);
        if (pick.worker != nullptr) return pick;
    }
    if (job.frontier() >= job.status.size) return pick;
    pick.position = job.frontier();
    pick.worker = choose(now, job, pick.position, rivals, reserved, candidates);
    return pick;
}

/// The first job of the queue from this id on.
std::optional<Jobs::Head> Jobs::head_of(Moment now, const QueueKey& key, JobId from) const {
    const auto queue = queues_.find(key);
    if (queue == queues_.end()) return std::nullopt;
    const auto first = queue->second.jobs.lower_bound(from);
    if (first == queue->second.jobs.end()) return std::nullopt;
    Head head;
    head.key = key;
    head.job = jobs_.at(*first).get();
    head.priority = key.priority + (now.at - head.job->waiting_since) / ageing;
    head.reserved = head.job->status.id == reserved_for_;
    const auto used = used_milli_.find(key.submitter);
    head.used_milli = used == used_milli_.end() ? 0 : used->second;
    return head;
}

std::vector<Jobs::Head> Jobs::heads(Moment now) const {
    std::vector<Head> heads;
    for (const auto& [key, queue] : queues_)
        if (auto head = head_of(now, key, 0)) heads.push_back(std::move(*head));
    if (heads.size() > limits::shapes_per_turn) {
        std::partial_sort(heads.begin(), heads.begin() + limits::shapes_per_turn, heads.end(),
                          [](const Head& a, const Head& b) { return b < a; });
        heads.resize(limits::shapes_per_turn);
    }
    return heads;
}

void Jobs::place(Moment now, Effects& effects) {
    unfinished_ = false;
    if (!something_new_) return;
    something_new_ = false;
    placed_ = 0;
    auto first = heads(now);
    std::priority_queue<Head> line(std::less<Head>{}, std::move(first));
    std::map<std::string, Candidates> kinds;
    std::vector<Job*> blocked;
    std::set<std::string> blocked_kinds;
    const Worker* reserved = nullptr;
    std::size_t passed_over = 0;
    while (!line.empty() && placed_ < limits::placements_per_turn) {
        auto head = line.top();
        line.pop();
        Job& job = *head.job;
        if (!job.in_queue) continue;
        if (!job.spec->on_each.empty()) {
            start_pinned(now, job, effects);
            continue;
        }
        const auto& kind = head.key.shape;
        if (blocked_kinds.contains(kind)) continue;
        auto found = kinds.find(kind);
        if (found == kinds.end()) found = kinds.emplace(kind, candidates_for(job)).first;
        const auto next = pick(now, job, reserved, found->second);
        JobId from = 0;
        if (next.worker != nullptr) {
            if (job.status.id == reserved_for_) reserved_for_ = 0;
            begin(now, job, next.position, *next.worker, false, effects);
        } else if (found->second.free.empty()) {
            blocked_kinds.insert(kind);
            blocked.push_back(&job);
            if (reserved == nullptr) reserved = reserve_for(now, job, effects);
            continue;
        } else if (++passed_over <= jobs_passed_over) {
            // What is free is not good for this job: the next of its kind may think otherwise.
            from = job.status.id + 1;
        } else {
            continue;
        }
        if (auto again = head_of(now, head.key, from)) line.push(std::move(*again));
    }
    reserved_node_ = reserved == nullptr ? std::string{} : reserved->node->record.id;
    for (auto* job : blocked) {
        make_way(*job, effects);
        queue_ahead(now, *job, reserved, effects);
    }
    if (placed_ >= limits::placements_per_turn) unfinished_ = something_new_ = true;
}

/// The node that is kept free for a job which has waited for long, or none. The job stays before
/// its like until it has started, else they would take the room as soon as there is some.
Worker* Jobs::reserve_for(Moment now, const Job& job, Effects& effects) {
    Worker* reserved = nullptr;
    if (now.at - job.waiting_since <= reserve_after) return reserved;
    for (auto& [id, other] : workers_)
        if (eligible(job, other) &&
            (reserved == nullptr || other.free_milli() > reserved->free_milli()))
            reserved = &other;
    // What waits there would be started as soon as there is a little room.
    if (reserved != nullptr) {
        reserved_for_ = job.status.id;
        retract_ahead(*reserved, reserved->ahead.size(), effects);
    }
    return reserved;
}

/// Tasks that are meant for one node each.
void Jobs::start_pinned(Moment now, Job& job, Effects& effects) {
    std::vector<Position> waiting;
    for (auto next = job.next_waiting(); next; next = job.next_waiting(*next + 1))
        waiting.push_back(*next);
    // These first: with one of them the job may be over, and then nothing more of it starts.
    for (const auto position : waiting) {
        if (!job.in_queue) return;
        if (cluster_.nodes().contains(job.spec->on_each[static_cast<std::size_t>(position)]))
            continue;
        TaskResult result;
        result.reason = "its node was removed";
        if (const auto task = job.active.find(position); task != job.active.end())
            result.attempt = task->second.last_attempt;
        finish(now, job, position, TaskState::failed, std::move(result), 0, {}, effects);
    }
    for (const auto position : waiting) {
        if (!job.in_queue) return;
        const auto& id = job.spec->on_each[static_cast<std::size_t>(position)];
        const auto found = workers_.find(id);
        if (found == workers_.end() || !cluster_.nodes().contains(id)) continue;
        auto& worker = found->second;
        if (worker.session == 0 || worker.node->state != NodeState::online ||
            !worker.fits(needs_of(job)))
            continue;
        begin(now, job, position, worker, false, effects);
    }
}

/// Where no slot is free anywhere, some tasks wait on the nodes themselves, so that a short task is
/// followed by the next without a round trip. What a turn may still place is shared by the nodes,
/// so that the first ones do not take it all.
void Jobs::queue_ahead(Moment now, Job& job, const Worker* reserved, Effects& effects) {
    if (job.stops || job.mean_seconds > ahead_below_seconds || job.cpus_milli <= 0) return;
    if (placed_ >= limits::placements_per_turn || workers_.empty()) return;
    auto nodes_left = workers_.size();
    for (auto& [id, worker] : workers_) {
        if (placed_ >= limits::placements_per_turn) return;
        const auto left = limits::placements_per_turn - placed_;
        const auto end = placed_ + (left + nodes_left - 1) / nodes_left;
        --nodes_left;
        if (!worker.takes_work() || worker.retracting > 0 || &worker == reserved) continue;
        if (!eligible(job, worker)) continue;
        if (worker.ahead.empty() && worker.fits(needs_of(job))) return;
        const auto slots = std::max<std::int64_t>(worker.cpus_milli() / job.cpus_milli, 1);
        const double task = job.mean_seconds / std::max(worker.speed, 0.01);
        const double in_time = task > 0 ? to_seconds(limits::ahead_work) / task : 0;
        const auto most = std::min<std::int64_t>(
            std::max(slots, static_cast<std::int64_t>(in_time) * slots), limits::ahead_tasks);
        while (static_cast<std::int64_t>(worker.ahead.size()) < most && job.in_queue) {
            if (placed_ >= end) {
                unfinished_ = something_new_ = true;
                break;
            }
            const auto position = job.next_waiting();
            const auto task_of = job.active.find(*position);
            // One that has failed before is placed with more care.
            if (task_of != job.active.end() && task_of->second.avoid == id) break;
            if (task_of != job.active.end() && !task_of->second.live.empty()) break;
            begin(now, job, *position, worker, true, effects);
        }
    }
}

/// What waits on nodes gives way to a job of higher priority.
void Jobs::make_way(const Job& job, Effects& effects) {
    for (auto& [id, worker] : workers_) {
        if (worker.ahead.empty() || worker.retracting > 0 || !eligible(job, worker)) continue;
        const auto lower = [&](const Worker::AttemptId& waiting) {
            const auto* other = find(std::get<0>(waiting));
            return other != nullptr && other->status.priority < job.status.priority;
        };
        if (std::any_of(worker.ahead.begin(), worker.ahead.end(), lower))
            retract_ahead(worker, worker.ahead.size(), effects);
    }
}

/// A node that has room takes over what waits on others.
void Jobs::rebalance(Effects& effects) {
    std::vector<const Worker*> idle;
    for (const auto& [id, worker] : workers_)
        if (worker.ahead.empty() && worker.takes_work() && worker.free_milli() > 0)
            idle.push_back(&worker);
    for (auto& [id, worker] : workers_) {
        if (idle.empty()) return;
        if (worker.ahead.empty() || worker.retracting > 0) continue;
        const auto* job = find(std::get<0>(worker.ahead.back()));
        if (job == nullptr || job->in_queue) continue;
        // Each of them takes over from one node at a time.
        std::size_t room = std::erase_if(idle, [&](const Worker* other) {
            return other->fits(needs_of(*job)) && eligible(*job, *other);
        });
        retract_ahead(worker, std::min(room, worker.ahead.size()), effects);
    }
}

}  // namespace rpic
