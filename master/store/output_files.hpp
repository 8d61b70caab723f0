#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "common/descriptor.hpp"
#include "master/core/job_records.hpp"

namespace rpic {

/// What the tasks of a job printed, one after the other, in files of limited size:
/// <folder>/<job>/<n>.seg. They are only appended to, and removed together. What a crash left
/// behind the last recorded output is harmless: the results say where outputs are.
///
/// For one thread. Everything throws std::runtime_error with the reason in words.
class OutputFiles {
  public:
    explicit OutputFiles(std::filesystem::path folder) : folder_(std::move(folder)) {}

    struct Place {
        std::int64_t segment = 0;
        std::int64_t offset = 0;
    };

    /// Appends all pieces one after the other and brings them to the disk. If that fails, nothing
    /// was appended.
    Place append(JobId job, const std::vector<std::string_view>& pieces);

    /// Throws if not all of it is there.
    std::string read(JobId job, std::int64_t segment, std::int64_t offset, std::size_t size) const;

    std::int64_t size(JobId job) const;  // of all its files

    /// Forgets what is open for the job; nothing will be appended soon.
    void close(JobId job) { open_.erase(job); }

    /// Removes one file of the job, or its folder; false once nothing is left.
    bool remove_some(JobId job);

  private:
    struct Segment {
        std::int64_t number = 0;
        std::int64_t size = 0;
        Descriptor file{-1};
    };

    std::filesystem::path folder_of(JobId job) const { return folder_ / std::to_string(job); }
    Segment& segment_for(JobId job);
    void create(JobId job, Segment& segment);
    std::int64_t newest_segment(JobId job) const;

    std::filesystem::path folder_;
    std::map<JobId, Segment> open_;
};

}  // namespace rpic
