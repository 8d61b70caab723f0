#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "common/output.hpp"

namespace rpic {

/// What one attempt prints, as records (output.hpp): in memory up to limits::inline_output_bytes,
/// then in a file; above limits::output_bytes, or when the disk is full, it is dropped and a note
/// at the end says how much.
class CapturedOutput {
  public:
    /// `path` of the file, which is made when it is needed.
    explicit CapturedOutput(std::filesystem::path path) : path_(std::move(path)) {}
    ~CapturedOutput();
    CapturedOutput(const CapturedOutput&) = delete;
    CapturedOutput& operator=(const CapturedOutput&) = delete;

    void append(OutputStream stream, std::string_view bytes);
    /// Nothing more comes.
    void finish();

    std::int64_t size() const { return size_; }
    bool in_file() const { return file_ >= 0; }
    const std::filesystem::path& path() const { return path_; }
    /// All of it, if it is not in a file.
    const std::string& in_memory() const { return memory_; }
    /// At most `max_bytes` from `offset` on.
    std::string read(std::int64_t offset, std::size_t max_bytes) const;

  private:
    bool keep(std::string_view record);

    std::filesystem::path path_;
    std::string memory_;
    int file_ = -1;
    std::int64_t size_ = 0;
    std::int64_t dropped_ = 0;  // bytes that the task printed
    int error_ = 0;             // why; 0: more than is kept
};

/// Bytes of an output file; fewer at its end, none if it is not there.
std::string read_output_file(const std::filesystem::path& path, std::int64_t offset,
                             std::size_t max_bytes);

}  // namespace rpic
