#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace rpic {

/// The files of a machine below a root: "/" for the machine that runs this, any other directory for
/// a recorded one. Paths are relative to the root, with or without a leading slash. Nothing throws
/// or blocks: what cannot be read is empty.
class FileTree {
  public:
    explicit FileTree(const std::filesystem::path& root);

    /// Whether system calls of this process speak of the same machine as these files do.
    bool is_this_machine() const { return root_ == "/"; }

    /// The first limits::machine_file_bytes bytes of a file, with NULs and all.
    std::string text(std::string_view path) const;

    /// Names in a directory, sorted; of a directory with more than limits::machine_entries any so
    /// many.
    std::vector<std::string> entries(std::string_view directory) const;

    bool has_directory(std::string_view path) const;

  private:
    std::string full(std::string_view path) const;

    std::string root_;  // ends with a slash
};

}  // namespace rpic
