#pragma once

#include "master/store/database.hpp"
#include "master/store/sqlite.hpp"

namespace rpic {

/// SQLite with a write-ahead log and synchronous=FULL.
class SqliteDatabase : public Database {
  public:
    explicit SqliteDatabase(const std::filesystem::path& file);
    ~SqliteDatabase() override;

    StoreContents load() override;
    void begin(bool secure) override;
    void put(const StoreOperation& operation) override;
    void put_results(const ResultRow& row) override;
    void mark_ended(JobId job, std::int64_t at, std::int64_t output_bytes) override;
    void commit() override;
    std::int64_t number(const std::string& name, std::int64_t otherwise) override;
    std::uint64_t rows_changed() const override;
    Totals totals(JobId job) override;
    std::vector<ResultRange> ranges(JobId job) override;
    std::string lines(JobId job, std::int64_t number) override;
    std::string outputs(JobId job, std::int64_t number, std::int64_t offset,
                        std::int64_t size) override;
    void visit_blobs(const std::function<void(JobId, std::string_view)>& visit) override;
    void visit_specs(const std::function<void(JobId, const JobSpec&)>& visit) override;
    std::vector<EndedJob> ended_jobs(std::int64_t now) override;
    std::optional<JobId> dropped_job() override;
    bool delete_some(JobId job) override;
    void forget_dropped(JobId job) override;
    void start_copy(const std::filesystem::path& file) override;
    bool copy_some() override;
    void end_copy() override;

  private:
    /// What is used often enough to stay prepared.
    struct Kept {
        explicit Kept(sqlite3* database);
        Statement begin;
        Statement commit;
        Statement put_task;
        Statement drop_task;
        Statement put_job;
        Statement put_spec;
        Statement put_status;
        Statement put_results;
        Statement last_result;
        Statement lines;
    };

    void put(const PutKey& key);
    void put(const DropKey& key);
    void put(const PutNode& node);
    void put(const DropNode& node);
    void put(const PutJob& job);
    void put(const PutJobStatus& job);
    void put(const DropJobs& jobs);
    void put(const PutTask& task);
    void put(const DropTask& task);
    void put(const SetMeta& meta);
    void read_states(StoredJob& job);

    SqliteHandle database_;
    std::unique_ptr<Kept> kept_;
    SqliteHandle copy_;
    sqlite3_backup* copying_ = nullptr;
    bool secure_ = false;
};

}  // namespace rpic
