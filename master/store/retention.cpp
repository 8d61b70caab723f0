#include "master/store/retention.hpp"

#include <algorithm>
#include <string_view>
#include <unordered_map>
#include <unordered_set>

namespace rpic {

namespace {

void sort_oldest_first(std::vector<EndedJob>& ended) {
    std::sort(ended.begin(), ended.end(), [](const EndedJob& left, const EndedJob& right) {
        if (left.age_seconds != right.age_seconds) return left.age_seconds > right.age_seconds;
        return left.id < right.id;
    });
}

/// What one job names, each once. Never asked for all jobs at once: that would be the number of
/// jobs times that of files.
std::vector<std::string_view> all_blobs(const JobBlobs& named, const FileLists& lists) {
    std::vector<std::string_view> blobs(named.files.begin(), named.files.end());
    for (const auto& list : named.lists) {
        blobs.push_back(list);
        lists.visit_files(list, [&](const std::string& file) { blobs.push_back(file); });
    }
    std::sort(blobs.begin(), blobs.end());
    blobs.erase(std::unique(blobs.begin(), blobs.end()), blobs.end());
    return blobs;
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

std::set<std::string> lists_of(const BlobsOfJobs& blobs) {
    std::set<std::string> lists;
    for (const auto& [job, named] : blobs) lists.insert(named.lists.begin(), named.lists.end());
    return lists;
}

std::set<std::string> named_blobs(const BlobsOfJobs& blobs, const FileLists& lists) {
    auto named = lists_of(blobs);
    std::set<std::string> files;
    for (const auto& list : named)
        lists.visit_files(list, [&](const std::string& file) { files.insert(file); });
    named.merge(files);
    for (const auto& [job, own] : blobs) named.insert(own.files.begin(), own.files.end());
    return named;
}

std::vector<JobId> jobs_to_free(std::vector<EndedJob> ended, const BlobsOfJobs& blobs,
                                const FileLists& lists,
                                const std::map<std::string, std::int64_t>& sizes,
                                std::int64_t excess) {
    std::vector<JobId> dropped;
    if (excess <= 0) return dropped;
    sort_oldest_first(ended);
    std::set<JobId> over;
    for (const auto& job : ended) over.insert(job.id);
    std::unordered_map<std::string_view, std::int64_t> uses;
    std::unordered_set<std::string_view> needed;
    for (const auto& [job, named] : blobs)
        for (const auto blob : all_blobs(named, lists)) {
            ++uses[blob];
            if (!over.contains(job)) needed.insert(blob);
        }
    for (const auto& job : ended) {
        if (excess <= 0) break;
        const auto named = blobs.find(job.id);
        if (named == blobs.end()) continue;
        bool helps = false;
        for (const auto blob : all_blobs(named->second, lists)) {
            const auto size = sizes.find(std::string(blob));
            if (needed.contains(blob) || size == sizes.end()) continue;
            helps = helps || size->second > 0;
            if (--uses[blob] == 0) excess -= size->second;
        }
        if (helps) dropped.push_back(job.id);
    }
    return dropped;
}

}  // namespace rpic
