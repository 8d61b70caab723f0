#include "master/store/retention.hpp"

#include <algorithm>

namespace rpic {

std::vector<JobId> jobs_to_drop(std::vector<EndedJob> ended, const RetentionLimits& limits,
                                std::size_t most) {
    std::sort(ended.begin(), ended.end(), [](const EndedJob& left, const EndedJob& right) {
        if (left.age_seconds != right.age_seconds) return left.age_seconds > right.age_seconds;
        return left.id < right.id;
    });
    std::int64_t output_bytes = 0;
    for (const auto& job : ended) output_bytes += job.output_bytes;
    const auto age_limit = std::chrono::duration_cast<std::chrono::seconds>(limits.age).count();
    std::vector<JobId> dropped;
    for (const auto& job : ended) {
        const bool keep = job.age_seconds <= age_limit &&
                          ended.size() - dropped.size() <= limits.jobs &&
                          output_bytes <= limits.output_bytes;
        if (keep || dropped.size() >= most) break;
        dropped.push_back(job.id);
        output_bytes -= job.output_bytes;
    }
    return dropped;
}

}  // namespace rpic
