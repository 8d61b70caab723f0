#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/clock.hpp"
#include "master/store/backup.hpp"
#include "master/store/database.hpp"
#include "master/store/item_files.hpp"
#include "master/store/lines.hpp"
#include "master/store/output_files.hpp"

namespace rpic {

/// Everything that the store does on disk, for one thread at a time. Throws std::runtime_error when
/// the disk fails.
class StoreFiles {
  public:
    StoreFiles(const std::filesystem::path& file, BlobPath blob_path);

    StoreContents load();

    /// Durable when it returns, but for secret files: what could not be written of these is said in
    /// `warnings`.
    void commit(const StoreBatch& batch, std::vector<std::string>& warnings);

    std::vector<TaskResult> results(JobId job, Position after, std::size_t limit);
    std::optional<TaskResult> task_result(JobId job, Position position);
    StoredOutput output(JobId job, Position position, std::int64_t offset, std::size_t max_bytes);
    std::vector<Item> items(const std::vector<ItemRequest>& requests);
    bool count_some(const std::string& blob, ItemFiles::Counting& counting);
    std::vector<EndedJob> ended_jobs();
    BlobsOfJobs blobs_in_use();

    /// Throws if another one is being made.
    void start_backup(const std::filesystem::path& file);
    /// Goes on with it; false once it is complete, and `made` says what it is. After a failure
    /// there is none any more.
    bool backup_some(MadeBackup& made);
    /// Gives it up; of what was packed nothing is left.
    void drop_backup() { backup_.reset(); }

    /// Removes a part of what dropped jobs left; false if there is nothing to do.
    bool tidy_some();

    void measure_free_space();
    Instant measured() const { return measured_; }  // when it was
    /// All but the CPU time.
    const StoreStatistics& statistics() const { return statistics_; }

  private:
    /// What is known of a job that gets results.
    struct Growth {
        std::int64_t last_number = 0;
        std::int64_t row_bytes = 0;  // of outputs in rows
    };
    /// Where the results of a job are.
    struct Index {
        JobId job = 0;
        std::vector<ResultRange> ranges;
    };
    struct Found {
        TaskResult result;
        OutputPlace place;
        std::int64_t number = 0;
    };
    using Results = std::vector<const PutResult*>;

    ResultRow make_row(JobId job, const Results& results);
    OutputPlace place_outputs(JobId job, const Results& results, ResultRow& row,
                              std::string& failure);
    Growth& growth_of(JobId job);
    Index& index_of(JobId job);
    std::optional<Found> find(JobId job, Position position);
    void mark_ended_jobs(const StoreBatch& batch);
    void note_time();
    std::int64_t run_seconds() const;

    std::filesystem::path folder_;
    std::unique_ptr<Database> database_;
    OutputFiles outputs_;
    ItemFiles items_;
    std::map<JobId, Growth> growth_;
    std::deque<Index> indexes_;  // of the jobs asked about last, the newest first
    bool may_tidy_ = true;
    Instant opened_ = Clock::now();
    std::int64_t run_before_ = 0;  // seconds that masters have run on this store
    std::int64_t run_noted_ = 0;   // as recorded
    StoreStatistics statistics_;
    Instant measured_{};
    std::unique_ptr<Backup> backup_;
};

}  // namespace rpic
