#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "common/clock.hpp"
#include "common/limits.hpp"
#include "master/core/job_records.hpp"
#include "master/store/file_lists.hpp"

/// Which ended jobs are forgotten, and when.
namespace rpic {

struct EndedJob {
    JobId id = 0;
    std::int64_t age_seconds = 0;   // time that the master has run since the job ended
    std::int64_t output_bytes = 0;  // of its tasks' outputs
};

struct RetentionLimits {
    Duration age = std::chrono::hours(30 * 24);
    std::size_t jobs = 10'000;
    std::int64_t output_bytes = std::int64_t{4} << 30;
    std::int64_t file_bytes = limits::master_blob_bytes;
};

/// The blobs that a job and its results name themselves.
struct JobBlobs {
    std::set<std::string> files;  // outputs, items, standard input
    std::set<std::string> lists;  // of files: what travels along, and what has come back
    bool operator==(const JobBlobs&) const = default;
};
using BlobsOfJobs = std::map<JobId, JobBlobs>;

/// All lists of files that jobs name.
std::set<std::string> lists_of(const BlobsOfJobs& blobs);

/// All blobs that jobs name, themselves or in a list.
std::set<std::string> named_blobs(const BlobsOfJobs& blobs, const FileLists& lists);

/// The oldest ended jobs, as many as must go so that none is older than the limit and neither their
/// number nor their outputs are above theirs. At most `most` in one go.
std::vector<JobId> jobs_to_drop(std::vector<EndedJob> ended, const RetentionLimits& limits,
                                std::size_t most = 100);

/// The oldest ended jobs that must go so that files of `excess` bytes are named by nobody. One that
/// would set nothing free stays: without files, or with those alone that a live job needs, too.
std::vector<JobId> jobs_to_free(std::vector<EndedJob> ended, const BlobsOfJobs& blobs,
                                const FileLists& lists,
                                const std::map<std::string, std::int64_t>& sizes,
                                std::int64_t excess);

}  // namespace rpic
