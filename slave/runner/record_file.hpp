#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace rpic {

/// A file of records, each with its length and a checksum, so that the part of a record that a
/// crash left at the end is recognised and dropped.
class RecordFile {
  public:
    /// Opens or makes it, hands each record (and its place in the file) to `each`, and cuts off
    /// what follows the last good one. Throws ConfigError if it cannot be used or read.
    using Reader = std::function<void(std::string_view record, std::int64_t offset)>;
    RecordFile(std::filesystem::path path, const Reader& each);
    ~RecordFile();
    RecordFile(const RecordFile&) = delete;
    RecordFile& operator=(const RecordFile&) = delete;

    /// Place of the record's first byte; -1 (with errno) and nothing written if the disk refuses.
    std::int64_t append(std::string_view record);
    /// Bytes at a place that append() told; none if they cannot be read.
    std::string read(std::int64_t offset, std::size_t size) const;
    void clear();

    /// Replaces all records by these, at once or not at all; their places in the same order. Empty
    /// if that failed: then all is as before. Nothing of the new file is known to be on the disk.
    std::vector<std::int64_t> rewrite(const std::vector<std::string>& records);

    std::int64_t size() const { return size_; }
    int descriptor() const { return descriptor_; }

  private:
    void read_all(const Reader& each);

    std::filesystem::path path_;
    int descriptor_ = -1;
    std::int64_t size_ = 0;
};

}  // namespace rpic
