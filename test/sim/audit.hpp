#pragma once

#include <array>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include "master/core/jobs.hpp"
#include "slave/core/attempt_slots.hpp"
#include "test/sim/model_store.hpp"

namespace rpic::sim {

/// What the item at a position of a list is.
std::string item_text(const std::string& list, Position position);
/// The job of which this one is the notification; 0: it is none.
JobId notified_job(const JobSpec& spec);

/// What must never happen.
enum class Kind {
    lost,            // something acknowledged, or an end that a node had written down
    recorded_twice,  // a task has a second result, or one that is not true
    overlap,         // two attempts of a task run at once under `stop`
    oversubscribed,  // more runs on a node than it has room for, or the books are wrong
    reused,          // the number of an attempt, or the id of a job
    submitted_twice,
    unrecorded,   // an order whose record is not on disk
    disobeyed,    // what a user said (cancel, hold, drain, after, retries) does not count
    left_behind,  // a task that nobody wants goes on, or something is held for ever
    locked_out,   // a node that nobody removed is refused, or a removed one is not
    stuck,        // a job never ends
    crashed,      // a program would have ended with an exception
};
inline constexpr std::array kind_names = {
    "lost",       "recorded_twice", "overlaps",    "oversubscribed", "reused", "submitted_twice",
    "unrecorded", "disobeyed",      "left_behind", "locked_out",     "stuck",  "crashed"};

class Violation : public std::runtime_error {
  public:
    Violation(Kind what, const std::string& text) : std::runtime_error(text), kind(what) {}
    Kind kind;
};

/// The one who sees everything: processes, disks and messages at once. It remembers what was
/// promised to whom and throws a Violation as soon as something is not as it must be.
class Audit {
  public:
    explicit Audit(const ModelStore& store) : store_(store) {}

    // Clients. `key` is that of the submit.
    void submit_acknowledged(const std::string& key, JobId job);
    /// `age` is what age_of() told when the master decided.
    void cancel_acknowledged(JobId job, std::optional<std::int64_t> index, int age);
    /// A user wants it to run again: what was said before does not count.
    void taken_up_again(JobId job);
    /// How often that was.
    int age_of(JobId job) const;

    // The master, once what it decided is on disk.
    void master_started() const;
    void job_recorded(const JobStatus& status, const JobSpec& spec);
    void task_recorded(const TaskRecord& record);
    void start_ordered(const std::string& node_id, std::int64_t job, const TaskOrder& order);
    void forgetting_allowed(const AttemptKey& key, const std::string& why) const;
    void result_recorded(const TaskResult& result, const std::string& output);
    /// People are told of it.
    void told(const Happened& event) const;
    void look_at_books(const Jobs& jobs) const;
    /// A task of the job was just placed there, to run at once.
    void room_given(const Worker& worker, const Job& job) const;
    /// A node came with a key; `known`: the master knows whose it is.
    void key_shown(const std::string& key, bool known) const;
    /// An admin removes the node that has these keys.
    void removed(const std::string& node_id, const std::vector<std::string>& keys);
    void removal_acknowledged(const std::string& node_id);

    /// The master's disk holds an earlier state now, on purpose: what was promised later is gone.
    /// `keys` were on it before.
    void restored(const std::map<std::string, KeyRecord>& keys);
    int restores() const { return restores_; }

    // The nodes.
    void process_began(int board, const Holding& room, const AttemptKey& key, const NodeJob& job);
    void process_ended(int board, const AttemptKey& key, const NodeJob& job);
    void item_arrived(const AttemptKey& key, const std::string& item) const;
    void ended(const AttemptReport& report, const std::string& output);
    /// It died with its node or runner, or the node could not run it.
    void died(const AttemptKey& key) { ++deaths_[{key.job, key.task}]; }

    // The end.
    void all_is_over() const;
    /// The master has counted all that ran out again.
    static bool books_are_empty(const Jobs& jobs,
                                const std::function<bool(const std::string&)>& somebody_is);

    std::int64_t attempts_started() const { return static_cast<std::int64_t>(began_.size()); }
    const std::map<std::string, JobId>& submits() const { return submits_; }

  private:
    using TaskId = std::pair<JobId, std::int64_t>;  // with its index
    struct Truth {
        bool success = false;
        std::string output;
    };
    bool cancel_is_kept(JobId job, std::int64_t index) const;
    void notification_recorded(const JobStatus& status, const JobSpec& spec) const;

    const ModelStore& store_;
    std::map<std::string, JobId> submits_;
    std::set<JobId> acknowledged_;
    std::set<JobId> cancelled_;
    std::set<TaskId> cancelled_tasks_;
    std::map<JobId, int> ages_;
    std::set<JobId> begun_;            // jobs of which an attempt was ever ordered
    std::set<JobId> ever_;             // ids that were ever on disk
    std::set<std::string> void_keys_;  // of removed nodes, or lost in a restore
    std::map<std::string, std::vector<std::string>> keys_of_removed_;  // by node
    std::set<std::string> worthless_;  // keys whose end is acknowledged
    int restores_ = 0;
    std::set<AttemptKey> ordered_;
    std::set<AttemptKey> began_;
    std::map<TaskId, int> running_;
    std::map<int, Holding> loads_;  // by board
    std::map<AttemptKey, Truth> truths_;
    std::map<TaskId, int> failures_;  // ends that count against --retries
    std::map<TaskId, int> deaths_;
};

}  // namespace rpic::sim
