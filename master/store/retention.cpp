#include "master/store/retention.hpp"

#include <algorithm>

namespace rpic {

namespace {

void sort_oldest_first(std::vector<EndedJob>& ended) {
    std::sort(ended.begin(), ended.end(), [](const EndedJob& left, const EndedJob& right) {
        if (left.age_seconds != right.age_seconds) return left.age_seconds > right.age_seconds;
        return left.id < right.id;
    });
}

}  // namespace

std::vector<JobId> jobs_to_drop(std::vector<EndedJob> ended, const RetentionLimits& limits,
                                std::size_t most) {
    sort_oldest_first(ended);
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

std::vector<JobId> jobs_to_free(std::vector<EndedJob> ended, const BlobsOfJobs& blobs,
                                const std::map<std::string, std::int64_t>& sizes,
                                std::int64_t excess) {
    sort_oldest_first(ended);
    std::set<JobId> over;
    for (const auto& job : ended) over.insert(job.id);
    std::map<std::string, int> uses;
    std::set<std::string> needed;
    for (const auto& [job, named] : blobs)
        for (const auto& blob : named) {
            ++uses[blob];
            if (!over.contains(job)) needed.insert(blob);
        }
    std::vector<JobId> dropped;
    for (const auto& job : ended) {
        if (excess <= 0) break;
        const auto named = blobs.find(job.id);
        if (named == blobs.end()) continue;
        bool helps = false;
        for (const auto& blob : named->second) {
            const auto size = sizes.find(blob);
            if (needed.contains(blob) || size == sizes.end()) continue;
            helps = helps || size->second > 0;
            if (--uses[blob] == 0) excess -= size->second;
        }
        if (helps) dropped.push_back(job.id);
    }
    return dropped;
}

}  // namespace rpic
