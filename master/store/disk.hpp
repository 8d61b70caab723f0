#pragma once

#include <filesystem>

namespace rpic {

/// Throws std::runtime_error: "cannot WHAT PATH: " and what errno says.
[[noreturn]] void fail(const char* what, const std::filesystem::path& path);

/// What was made, renamed or removed in a folder lasts from here on (fsync(2)). Throws as fail().
void sync_folder(const std::filesystem::path& folder);

}  // namespace rpic
