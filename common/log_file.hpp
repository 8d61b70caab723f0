#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "common/descriptor.hpp"

namespace rpic {

/// A file of lines that goes on where an earlier program ended it. Once it would be longer than
/// limits::log_file_bytes it becomes FILE.1, what was FILE.1 becomes FILE.2, and so on; of these
/// limits::log_files are kept. A disk that takes nothing costs lines, not the program.
class LogFile {
  public:
    /// Throws ConfigError if the file cannot be opened.
    explicit LogFile(const std::string& file);

    void write(std::string_view line);

  private:
    void open();
    void rotate();

    std::filesystem::path path_;
    Descriptor file_;
    std::uint64_t size_ = 0;
    bool torn_ = false;  // the last line has no end
};

}  // namespace rpic
