#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <utility>

#include "master/core/job.hpp"
#include "master/store/records.hpp"

namespace rpic::sim {

/// What the master's disk holds: batches come in whole, as SQLite has it, or not at all.
class ModelStore {
  public:
    using TaskId = std::pair<JobId, Position>;
    struct Entry {
        JobStatus status;
        std::shared_ptr<const JobSpec> spec;
    };

    struct Contents {
        std::map<std::string, KeyRecord> keys;
        std::map<std::string, NodeRecord> nodes;
        std::map<JobId, Entry> jobs;
        std::map<TaskId, TaskRecord> tasks;
        std::map<TaskId, TaskResult> results;
        std::set<TaskId> may_end_again;
        std::set<std::string> blobs;
        JobId next_job = 1;
        std::int64_t epoch = 1;
    };

    /// Called before a result is taken, with its output.
    std::function<void(const TaskResult&, const std::string&)> on_result;
    /// Called before a record of a task is taken.
    std::function<void(const TaskRecord&)> on_task;
    /// Called before a job is taken.
    std::function<void(const JobStatus&, const JobSpec&)> on_job;

    void apply(const StoreBatch& batch) { apply(batch, batch.size()); }
    /// The first operations of it alone.
    void apply(const StoreBatch& batch, std::size_t count);

    /// What a master that starts finds.
    StoreContents load() const;

    /// All of it, as a backup has it.
    const Contents& contents() const { return now_; }
    /// A backup comes back, as `rpicluster restore` has it: one epoch further than it was, with job
    /// ids that the old master has not given after the backup.
    void restore(Contents backup);

    const Entry* job(JobId id) const;
    const TaskRecord* task(JobId id, Position position) const;
    const TaskResult* result(JobId id, Position position) const;
    const NodeRecord* node(const std::string& id) const;
    const std::map<JobId, Entry>& jobs() const { return now_.jobs; }
    bool has_blob(const std::string& blob) const { return now_.blobs.contains(blob); }
    bool has_key(const std::string& identity) const { return now_.keys.contains(identity); }
    /// How the tasks of a job ended, as the master asks for it when they are to run again.
    std::vector<TaskState> states(JobId id) const;

    /// A file has come, complete.
    void put_blob(const std::string& blob) { now_.blobs.insert(blob); }
    /// A user has asked for it: these may get another result.
    void may_end_again(TaskId task) { now_.may_end_again.insert(task); }
    bool has_final_result(TaskId task) const {
        return now_.results.contains(task) && !now_.may_end_again.contains(task);
    }

  private:
    void take(const PutKey& put) { now_.keys[put.record.identity] = put.record; }
    void take(const DropKey& drop) { now_.keys.erase(drop.identity); }
    void take(const PutNode& put) { now_.nodes[put.record->id] = *put.record; }
    void take(const DropNode& drop) { now_.nodes.erase(drop.id); }
    void take(const PutSecretFile&) {}
    void take(const PutJob& put);
    void take(const PutJobStatus& put) { now_.jobs.at(put.status.id).status = put.status; }
    void take(const DropJobs& drop);
    void take(const PutTask& put);
    void take(const DropTask& drop) { now_.tasks.erase({drop.job, drop.position}); }
    void take(const PutResult& put);
    void take(const SetMeta& set);

    Contents now_;
};

}  // namespace rpic::sim
