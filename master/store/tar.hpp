#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>

#include "common/descriptor.hpp"
#include "common/sha256.hpp"

/// Just enough of the tar format (ustar, with GNU's way to write large sizes) for backups: regular
/// files with short names, and a list of checksums as the last one. Everything is streamed. Both
/// throw std::runtime_error with the reason.
namespace rpic {

inline constexpr std::size_t tar_name_bytes = 99;

class TarWriter {
  public:
    /// Makes the file with mode 0600.
    explicit TarWriter(std::filesystem::path file);

    void begin(const std::string& name, std::int64_t size);
    void append(std::string_view bytes);  // `size` in all
    void end();
    /// Writes the checksums and brings all to the disk.
    void finish();
    /// Brings to the disk what was written so far, so that the end has little to wait for.
    void sync();

    std::int64_t size() const { return size_; }
    /// The SHA-256 of the whole archive, once it is finished.
    const std::string& sha256() const { return sha256_; }

  private:
    void write(std::string_view bytes);

    std::filesystem::path path_;
    Descriptor file_;
    std::int64_t size_ = 0;
    std::int64_t member_bytes_ = 0;
    std::string name_;
    Sha256 hash_;   // of the member
    Sha256 whole_;  // of all that is written
    std::string sums_;
    std::string sha256_;
};

class TarReader {
  public:
    explicit TarReader(std::filesystem::path file);

    struct Member {
        std::string name;
        std::int64_t size = 0;
    };
    /// The next member; false at the end of the archive, if all checksums were right and none was
    /// missing.
    bool next(Member& member);
    /// The next bytes of the member, at most `max_bytes`; empty at its end.
    std::string_view read(std::size_t max_bytes);

  private:
    void read_exactly(char* bytes, std::size_t size);
    void end_member();
    void check_sums();

    std::filesystem::path path_;
    Descriptor file_;
    std::string buffer_;
    Member member_;
    std::int64_t left_ = 0;
    Sha256 hash_;
    std::map<std::string, std::string> sums_;  // name -> hash
    std::string list_;                         // the archive's own list
};

}  // namespace rpic
