#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "common/clock.hpp"
#include "common/limits.hpp"
#include "master/core/job_records.hpp"

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

/// The files that jobs name: what travels along, what has come back, and lists of these.
using BlobsOfJobs = std::map<JobId, std::set<std::string>>;

/// The oldest ended jobs, as many as must go so that none is older than the limit and neither their
/// number nor their outputs are above theirs. At most `most` in one go.
std::vector<JobId> jobs_to_drop(std::vector<EndedJob> ended, const RetentionLimits& limits,
                                std::size_t most = 100);

/// The oldest ended jobs that must go so that files of `excess` bytes are named by nobody. One that
/// would set nothing free stays: without files, or with those alone that a live job needs, too.
std::vector<JobId> jobs_to_free(std::vector<EndedJob> ended, const BlobsOfJobs& blobs,
                                const std::map<std::string, std::int64_t>& sizes,
                                std::int64_t excess);

}  // namespace rpic
