#pragma once

#include <cstdint>
#include <vector>

#include "common/clock.hpp"
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
};

/// The oldest ended jobs, as many as must go so that none is older than the limit and neither their
/// number nor their outputs are above theirs. At most `most` in one go.
std::vector<JobId> jobs_to_drop(std::vector<EndedJob> ended, const RetentionLimits& limits,
                                std::size_t most = 100);

}  // namespace rpic
