#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <variant>
#include <vector>

#include "master/core/cluster.hpp"
#include "master/core/effects.hpp"
#include "master/core/job.hpp"
#include "master/core/node.hpp"
#include "master/core/worker.hpp"

namespace rpic {

/// What happened to results and orders since the master started.
struct JobCounters {
    std::int64_t tasks_started = 0;
    std::int64_t tasks_done = 0;
    std::int64_t tasks_failed = 0;
    std::int64_t late_results = 0;      // of attempts that were wanted no more
    std::int64_t unknown_attempts = 0;  // reported by a node that was never given them
    std::int64_t attempts_lost = 0;     // with their node or runner
    std::int64_t attempts_retracted = 0;
    std::int64_t quarantines = 0;
};
BOOST_DESCRIBE_STRUCT(JobCounters, (),
                      (tasks_started, tasks_done, tasks_failed, late_results, unknown_attempts,
                       attempts_lost, attempts_retracted, quarantines))

/// Which jobs there are, and which task runs where: a pure state machine, as Cluster is. It decides
/// with `Moment::at` alone, and returns what is to be done as effects in the order in which it must
/// become durable.
///
/// Its files: jobs.cpp (what users ask), attempts.cpp (what nodes report), workers.cpp (nodes that
/// come and go), placement.cpp (which task goes where), explain.cpp (why one waits).
class Jobs : public NodeListener {
  public:
    struct Start {
        Instant at{};
        std::int64_t epoch = 1;  // of the store
        JobId next_job = 1;
        Duration lost_after_start{};  // for contacts from before the master's start
    };
    Jobs(Cluster& cluster, const Start& start)
        : cluster_(cluster),
          last_{start.at, 0},
          started_(start.at),
          epoch_(start.epoch),
          next_job_(start.next_job),
          lost_after_start_(start.lost_after_start) {}

    // ------------------------------------------------- from the store, before anything else
    // happens
    /// `states` are those after the results there are, and `highest_attempt` is the highest of
    /// these.
    void restore(JobStatus status, std::shared_ptr<const JobSpec> spec,
                 std::vector<TaskState> states, std::int64_t highest_attempt = 0);
    void restore(const TaskRecord& record);
    /// After the last of them.
    void restored(Moment now, Effects& effects);

    // ----------------------------------------------------------------------------- what users ask
    struct Refusal {
        std::string code;  // as in Failed
        std::string reason;
    };
    struct Accepted {
        JobId job = 0;
        bool known = false;   // the same idempotency key was there already
        std::string warning;  // nothing can run it as things are
    };
    /// `item_count` is the number of items where the job has a list of them.
    std::variant<Accepted, Refusal> submit(Moment now, std::shared_ptr<const JobSpec> spec,
                                           std::string_view submitter, std::int64_t item_count,
                                           Effects& effects);
    /// Whether this submit was carried out before: its items need not be looked at again.
    const Job* submitted_before(std::string_view submitter, std::string_view key) const;
    void cancel(Moment now, Job& job, std::string_view reason, Effects& effects);
    void cancel_task(Moment now, Job& job, Position position, Effects& effects);
    /// `states` are those of an ended job, by the results that stand; else empty. Returns how many
    /// tasks are queued again: none while the job is being cancelled.
    std::int64_t retry(Moment now, Job& job, std::vector<TaskState> states, bool cancelled_too,
                       Effects& effects);
    void hold(Moment now, Job& job, bool held, Effects& effects);
    void set_priority(Job& job, std::int64_t priority, Effects& effects);
    Explanation explain(Moment now, const Job& job) const;
    /// An ended job is kept no longer; false if it has not ended.
    bool forget(JobId id);

    // --------------------------------------------------------------------------- what nodes report
    /// The complete list of a worker's attempts; orders go to it from now on.
    std::vector<Verdict> on_resync(Moment now, SessionId session, const Node& node,
                                   const std::vector<AttemptState>& attempts, Effects& effects);
    void on_started(Moment now, SessionId session, const std::vector<AttemptKey>& attempts);
    void on_retracted(Moment now, SessionId session, const std::vector<AttemptKey>& attempts,
                      Effects& effects);
    void on_ended(Moment now, SessionId session, const AttemptReport& report,
                  std::string_view output, Effects& effects);

    // -------------------------------------------------------------------- what the cluster decided
    void on_node_silent(Instant now, const Node& node, Effects& effects) override;
    void on_node_lost(Instant now, const Node& node, Effects& effects) override;
    void on_node_changed(const Node& node) override;
    void on_node_removed(Instant now, const Node& node, Effects& effects) override;
    /// After Cluster::set_draining. What still runs at the deadline is moved to other nodes.
    void on_drain(const Node& node, std::optional<Instant> deadline, Effects& effects);
    /// Reboots or switches off a node once nothing runs there.
    void power(const Node& node, std::string_view action, Effects& effects);

    /// Time passes: to be called a few times a second.
    void on_tick(Moment now, Effects& effects);

    /// Gives work to nodes. To be called once at the end of each turn; does nothing if nothing that
    /// matters has changed since.
    void place(Moment now, Effects& effects);
    /// Nodes have tasks in store, so it does not matter when a turn ends.
    bool backlog() const { return waiting_ahead_ > 0; }
    /// Placements were left for the next turn.
    bool unfinished() const { return unfinished_; }

    // ------------------------------------------------------------------------------------- queries
    const std::map<JobId, std::unique_ptr<Job>>& all() const { return jobs_; }
    Job* find(JobId id);
    const Job* find(JobId id) const;
    const std::map<std::string, Worker>& workers() const { return workers_; }
    const Worker* worker(std::string_view node_id) const;
    JobView view(const Job& job) const;
    /// A task that has no result.
    TaskView task_view(const Job& job, Position position) const;
    std::map<std::string, std::int64_t> count_by_state() const;
    const JobCounters& counters() const { return counters_; }
    std::uint64_t version() const { return version_; }

  private:
    struct Ref {
        JobId job = 0;
        Position position = 0;
        std::int64_t number = 0;
        auto operator<=>(const Ref&) const = default;
    };
    /// The jobs of one submitter, kind and priority that have tasks to start, oldest first.
    struct Queue {
        std::set<JobId> jobs;
    };
    struct QueueKey {
        std::string shape;
        std::string submitter;
        std::int64_t priority = 0;
        auto operator<=>(const QueueKey&) const = default;
    };

    // jobs.cpp
    Job& add(JobStatus status, std::shared_ptr<const JobSpec> spec);
    bool has_begun(const Job& job) const;
    void link_dependencies(Job& job);
    void hold_dependents(JobId root);
    std::string failed_dependency(const Job& job, JobId only = 0) const;
    void release_dependents(Moment now, const Job& job, Effects& effects);
    std::string check_nodes(const JobSpec& spec) const;
    std::int64_t reopen(Job& job, std::vector<TaskState> states, bool cancelled_too);
    void end_if_over(Moment now, Job& job, Effects& effects);
    void submit_notification(Moment now, const Job& job, Effects& effects);
    /// Attempts of each epoch have numbers of their own, so that a restored backup never gives one
    /// again that was given after it was made.
    std::int64_t attempts_of_earlier_epochs() const;
    static std::string idempotency_id(std::string_view submitter, std::string_view key);
    std::string shape_of(const Job& job) const;
    QueueKey queue_key(const Job& job) const;
    void update_queue(Job& job);
    void rest_after_restore(Job& job);
    void end_rests(Moment now, Effects& effects);
    void leave_queue(Job& job);
    void touch(Job& job) { job.changed = ++version_; }
    AttemptKey key_of(const Job& job, Position position, std::int64_t number) const;
    std::string name_of(std::string_view node_id) const;
    bool runnable_somewhere(const Job& job) const;

    // attempts.cpp
    void begin(Moment now, Job& job, Position position, Worker& worker, bool ahead,
               Effects& effects);
    void save_task(const Job& job, Position position, const ActiveTask& task, Effects& effects);
    void stop(Job& job, Position position, Attempt& attempt, std::string_view reason,
              Effects& effects);
    void drop_attempt(Job& job, ActiveTask& task, std::int64_t number);
    bool drop_detached(Job& job, ActiveTask& task);
    void requeue(Moment now, Job& job, Position position, Duration delay, Effects& effects);
    void finish(Moment now, Job& job, Position position, TaskState state, TaskResult result,
                double started_ago, std::string_view output, Effects& effects);
    void on_success(Moment now, Job& job, Position position, Worker& worker, TaskResult result,
                    const AttemptReport& report, std::string_view output, Effects& effects);
    void on_failure(Moment now, Job& job, Position position, Worker& worker, TaskResult result,
                    const AttemptReport& report, std::string_view output, Effects& effects);
    void on_refusal(Moment now, Job& job, Position position, Worker& worker, std::string_view why,
                    Effects& effects);
    void on_death(Moment now, Job& job, Position position, std::string_view node_id,
                  std::string_view why, bool counts, Effects& effects);
    void blame(Worker& worker, std::string_view why, Effects& effects);
    void measure(Job& job, Worker& worker, double seconds);

    // workers.cpp
    Moment moment(Instant at) const;
    Worker* worker_of(SessionId session);
    Worker& worker_for(const Node& node);
    Needs needs_of(const Job& job) const;
    enum class Place { running, ahead, ended };
    void occupy(Worker& worker, const Job& job, const Ref& ref, Place place);
    void vacate(Worker& worker, const Ref& ref);
    void not_retracted(Worker& worker, const Ref& ref);
    void start_ahead(Worker& worker);
    bool take_over(Worker& worker, const AttemptState& told, std::set<Ref>& present,
                   Effects& effects);
    void lose_attempt(Moment now, const Ref& ref, std::string_view node_id, bool started_counts,
                      Effects& effects);
    void detach_all(Moment now, Worker& worker, const Node& node, Effects& effects);
    void retract_ahead(Worker& worker, std::size_t most, Effects& effects);
    void move_to_others(Worker& worker, Effects& effects);
    void finish_drain(Worker& worker, Effects& effects);
    void renormalise_speeds();

    // placement.cpp
    struct Head;
    struct Candidates;
    bool eligible(const Job& job, const Worker& worker) const;
    Candidates candidates_for(const Job& job);
    struct Rival;
    struct Pick;
    std::vector<Rival> rivals_for(Moment now, const Job& job) const;
    bool worth_waiting(const Job& job, const Worker& worker,
                       const std::vector<Rival>& rivals) const;
    /// Why a task does not go to a node on which it fits.
    enum class Unfit { no, kept_free, runs_there, avoids_it };
    Unfit unfit(Moment now, const Job& job, const ActiveTask* task, const Worker& worker,
                const Worker* reserved) const;
    std::string why_passed_over(Moment now, const Job& job, const Worker& worker) const;
    Worker* choose(Moment now, const Job& job, Position position, const std::vector<Rival>& rivals,
                   const Worker* reserved, Candidates& candidates) const;
    Pick pick(Moment now, const Job& job, const Worker* reserved, Candidates& candidates) const;
    std::optional<Head> head_of(Moment now, const QueueKey& key, JobId from) const;
    Worker* reserve_for(Moment now, const Job& job, Effects& effects);
    std::vector<Head> heads(Moment now) const;
    void start_pinned(Moment now, Job& job, Effects& effects);
    void queue_ahead(Moment now, Job& job, const Worker* reserved, Effects& effects);
    void make_way(const Job& job, Effects& effects);
    void rebalance(Effects& effects);

    Cluster& cluster_;
    Moment last_;  // of the last tick
    Instant started_;
    std::int64_t epoch_;
    std::set<JobId> resting_;  // jobs with `rests_until`
    JobId next_job_;
    Duration lost_after_start_;
    std::map<JobId, std::unique_ptr<Job>> jobs_;
    std::unordered_map<std::string, JobId> idempotency_;  // submitter, NUL, key
    std::unordered_map<JobId, std::set<JobId>> dependents_;
    std::deque<JobId> ended_;  // their dependents are about to be released
    bool releasing_ = false;
    std::map<QueueKey, Queue> queues_;
    std::map<std::string, std::int64_t> used_milli_;  // submitter -> cpus in use
    std::map<std::string, Worker> workers_;           // by node id
    std::unordered_map<SessionId, Worker*> by_session_;
    std::set<std::pair<Instant, Ref>> delayed_;   // tasks that wait for their next try
    std::set<std::pair<Instant, Ref>> expiring_;  // attempts of `stop` jobs on lost nodes
    bool something_new_ = false;                  // that may let a task start
    bool unfinished_ = false;
    std::size_t placed_ = 0;          // in this turn
    JobId reserved_for_ = 0;          // a node is kept free for this one
    std::string reserved_node_;       // its id; empty: none in the last turn
    std::int64_t waiting_ahead_ = 0;  // on all workers
    JobCounters counters_;
    std::uint64_t version_ = 0;
};

}  // namespace rpic
