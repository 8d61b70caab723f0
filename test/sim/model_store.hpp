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

    const Entry* job(JobId id) const;
    const TaskRecord* task(JobId id, Position position) const;
    const TaskResult* result(JobId id, Position position) const;
    const NodeRecord* node(const std::string& id) const;
    const std::map<JobId, Entry>& jobs() const { return jobs_; }
    /// How the tasks of a job ended, as the master asks for it when they are to run again.
    std::vector<TaskState> states(JobId id) const;

    /// A user has asked for it: these may get another result.
    void may_end_again(TaskId task) { may_end_again_.insert(task); }
    bool has_final_result(TaskId task) const {
        return results_.contains(task) && !may_end_again_.contains(task);
    }

  private:
    void take(const PutKey& put) { keys_[put.record.identity] = put.record; }
    void take(const DropKey& drop) { keys_.erase(drop.identity); }
    void take(const PutNode& put) { nodes_[put.record->id] = *put.record; }
    void take(const DropNode& drop) { nodes_.erase(drop.id); }
    void take(const PutSecretFile&) {}
    void take(const PutJob& put);
    void take(const PutJobStatus& put) { jobs_.at(put.status.id).status = put.status; }
    void take(const DropJobs& drop);
    void take(const PutTask& put);
    void take(const DropTask& drop) { tasks_.erase({drop.job, drop.position}); }
    void take(const PutResult& put);
    void take(const SetMeta& set);

    std::map<std::string, KeyRecord> keys_;
    std::map<std::string, NodeRecord> nodes_;
    std::map<JobId, Entry> jobs_;
    std::map<TaskId, TaskRecord> tasks_;
    std::map<TaskId, TaskResult> results_;
    std::set<TaskId> may_end_again_;
    JobId next_job_ = 1;
};

}  // namespace rpic::sim
