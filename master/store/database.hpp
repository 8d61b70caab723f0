#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "master/store/records.hpp"
#include "master/store/retention.hpp"

namespace rpic {

/// The results of one job that one commit brought.
struct ResultRow {
    JobId job = 0;
    std::int64_t number = 0;  // 1, 2, 3 ... within the job; the newest result of a position counts
    Position low = 0;         // all positions are from here ...
    Position high = 0;        // ... to here
    std::optional<std::int64_t> blob_bytes;  // set if a result names a blob: bytes of output blobs
    std::string lines;                       // lines.hpp
    std::string outputs;                     // small ones (OutputPlace::In::row)
};

/// Where to look for the result of a position.
struct ResultRange {
    std::int64_t number = 0;
    std::int32_t low = 0;
    std::int32_t high = 0;
};

/// What the store needs of a database: rows that become durable together. Files beside it (outputs,
/// blobs) are not its business. Another engine than SQLite has to do this and nothing else.
///
/// Used by one thread at a time. Everything throws std::runtime_error when the database fails.
class Database {
  public:
    virtual ~Database() = default;

    virtual StoreContents load() = 0;

    /// One transaction: begin, rows, commit. With `secure`, what is deleted in it is overwritten.
    virtual void begin(bool secure) = 0;
    virtual void put(const StoreOperation& operation) = 0;  // all but results and secret files
    virtual void put_results(const ResultRow& row) = 0;
    /// `at` and `output_bytes` of a job that has ended; the first time stays.
    virtual void mark_ended(JobId job, std::int64_t at, std::int64_t output_bytes) = 0;
    virtual void commit() = 0;

    virtual std::int64_t number(const std::string& name, std::int64_t otherwise) = 0;  // SetMeta
    virtual std::uint64_t rows_changed() const = 0;  // since it was opened

    /// Of a job: the number of its last row of results, and the bytes of outputs in all of them.
    struct Totals {
        std::int64_t last_number = 0;
        std::int64_t output_bytes = 0;
        std::int64_t blob_bytes = 0;
    };
    virtual Totals totals(JobId job) = 0;
    virtual std::vector<ResultRange> ranges(JobId job) = 0;  // by number
    virtual std::string lines(JobId job, std::int64_t number) = 0;
    virtual std::string outputs(JobId job, std::int64_t number, std::int64_t offset,
                                std::int64_t size) = 0;
    /// Lines of all rows that name a blob.
    virtual void visit_blobs(const std::function<void(JobId, std::string_view)>& visit) = 0;
    virtual void visit_specs(const std::function<void(JobId, const JobSpec&)>& visit) = 0;
    virtual std::vector<EndedJob> ended_jobs(std::int64_t now) = 0;

    /// A job of which something may be left after DropJobs.
    virtual std::optional<JobId> dropped_job() = 0;
    /// Deletes some of its rows; false once there are none.
    virtual bool delete_some(JobId job) = 0;
    virtual void forget_dropped(JobId job) = 0;

    /// A consistent copy into another file, bit by bit; commits go on meanwhile and are part of it.
    virtual void start_copy(const std::filesystem::path& file) = 0;
    virtual bool copy_some() = 0;  // false once it is complete
    virtual void end_copy() = 0;   // complete or not
};

/// Opens or makes a SQLite database; throws std::runtime_error with the reason.
std::unique_ptr<Database> open_sqlite(const std::filesystem::path& file);

/// Makes a copy fit to be the store of a restored master: checks it as a whole, counts the epoch
/// up and jumps ahead with the job ids. Gives the new epoch.
std::int64_t renew_sqlite(const std::filesystem::path& file);

}  // namespace rpic
