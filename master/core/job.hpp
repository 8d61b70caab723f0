#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "common/clock.hpp"
#include "common/job_messages.hpp"
#include "common/where.hpp"
#include "master/core/job_records.hpp"
#include "master/core/position_set.hpp"

namespace rpic {

/// When something happens. Only `at` decides; the wall clock is for people to read.
struct Moment {
    Instant at;
    std::int64_t wall_ms = 0;  // since 1970
};

/// One run of a task on one node that may still be going on.
struct Attempt {
    std::int64_t number = 0;
    std::string node;             // id
    bool ahead = false;           // waits on the node until there is room
    bool started = false;         // the node said so
    bool detached = false;        // its node is lost: nobody knows whether it runs
    bool stopping = false;        // it was told to end ...
    bool requeue = false;         // ... to be run elsewhere
    std::int64_t started_at = 0;  // seconds since 1970, for display
    Instant since{};              // when it was ordered, or when it started
    Instant expires{};            // detached, of a `stop` job: when it has certainly ended
};

/// A task that has begun and has not ended. Most tasks of a large array are never more than a byte.
struct ActiveTask {
    std::int64_t last_attempt = 0;
    std::int64_t failures = 0;  // count against --retries
    std::int64_t deaths = 0;    // of nodes and runners that had it, and refusals by another node
    std::int64_t refusals = 0;  // by the node to avoid, one after the other
    std::string avoid;          // id of the node where it failed, or was lost, last
    bool failed_there = false;  // it failed there
    bool cancelled = false;     // on its own: it does not run again
    std::string complaint;      // of that failure
    bool waiting = false;       // is to be run: queued, or held back until `not_before`
    Instant not_before{};
    std::vector<Attempt> live;  // limits::live_attempts at most

    Attempt* find(std::int64_t number);
    /// It is on a node that has no room for it yet: nothing of it runs.
    bool waits_on_node() const;
};

/// Whether a retry is about such a task.
inline bool is_taken_up(TaskState state, bool cancelled_too) {
    return state == TaskState::failed || (cancelled_too && state == TaskState::cancelled);
}

/// A job as the master sees it: what was asked for, and how far it has come.
class Job {
  public:
    Job(JobStatus status, std::shared_ptr<const JobSpec> spec);

    JobStatus status;
    std::shared_ptr<const JobSpec> spec;
    Where where;
    std::int64_t cpus_milli = 0;  // of one task, in thousandths
    bool stops = false;           // on_disconnect=stop
    Duration lost_after{};        // of a `stop` job: after the last contact with the node
    bool in_queue = false;
    std::optional<Instant> rests_until;  // an attempt that a restored backup does not know may run

    std::size_t waits_for = 0;  // jobs that must end first, before any task begins
    Instant waiting_since{};    // when a task of it was last started, or it became ready
    std::uint64_t changed = 0;  // Jobs::version() of the last change that viewers see

    // What its tasks cost, for the choice of nodes.
    double mean_seconds = 0;  // on a node of speed 1
    std::int64_t measured = 0;

    std::unordered_map<Position, ActiveTask> active;

    std::int64_t index(Position position) const { return status.first + position * status.step; }
    /// Nothing if no task has this index.
    std::optional<Position> position(std::int64_t index) const;

    TaskState state(Position position) const;
    void set_state(Position position, TaskState state);
    std::int64_t count(TaskState state) const;
    std::int64_t failed() const { return count(TaskState::failed); }

    /// Tasks that could be started now, were there room.
    bool has_waiting() const { return frontier_ < status.size || !requeued_.empty(); }
    /// The first of them from this one on, or nothing.
    std::optional<Position> next_waiting(Position from = 0) const;
    const PositionSet& requeued() const { return requeued_; }
    /// It is started: no longer waiting.
    void take(Position position);
    /// It waits (again).
    void put_back(Position position);
    std::int64_t waiting_count() const { return status.size - frontier_ + requeued_.size(); }
    Position frontier() const { return frontier_; }
    /// How many of those that are taken wait on nodes.
    std::int64_t waiting_on_nodes() const { return waiting_on_nodes_; }
    /// On how many nodes something of it runs.
    std::int64_t nodes() const { return static_cast<std::int64_t>(running_on_.size()); }

    /// Every task that has not begun counts as ended.
    void stop_queue();

    /// An ended job keeps its numbers alone.
    void shrink();
    /// The opposite, with the states that its tasks have now.
    void reopen(std::vector<TaskState> states);
    /// Those that have failed, or were cancelled too, wait again; returns how many these are.
    std::int64_t queue_again(bool cancelled_too);

    bool ended() const { return status.ended; }
    bool all_ended() const;
    std::string state_text() const;
    /// Whether it counts for the limit of tasks at once: one on a lost node, whose task runs
    /// elsewhere, does not.
    bool counts(const Attempt& attempt) const { return !attempt.detached || stops; }
    std::int64_t live_attempts() const { return live_; }
    /// Changes which attempts one of its active tasks has, or what they do: the job counts them,
    /// since viewers ask several times a second.
    template <class Change>
    void change(ActiveTask& task, Change change) {
        tally(task, -1);
        change();
        tally(task, 1);
    }

  private:
    void tally(const ActiveTask& task, std::int64_t by);

    std::vector<TaskState> states_;  // of the tasks before the frontier
    Position frontier_ = 0;          // no task from here on was ever touched
    PositionSet requeued_;
    std::array<std::int64_t, task_states> counts_{};
    std::int64_t live_ = 0;  // attempts that count, with those that wait on nodes
    std::int64_t waiting_on_nodes_ = 0;
    std::unordered_map<std::string, std::int64_t> running_on_;  // by node id: attempts there
};

/// What is wrong with a job that a client sends, in words; empty if it is in order. `size`,
/// `first`, `step` and `task_limit` of the status are filled from the array; a job with items gets
/// its size from `item_count`.
std::string check_spec(const JobSpec& spec, std::int64_t item_count, JobStatus& status);

/// What a node is told of a job.
NodeJob node_job(const Job& job, std::string_view arch);

}  // namespace rpic
