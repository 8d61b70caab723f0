#pragma once

#include <string_view>

/// What a backup may hold, under which names.
namespace rpic {

inline constexpr const char* backup_database = "store.db";

/// outputs/JOB/N.seg or blobs/XX/REST.
bool is_backup_file(std::string_view name);

}  // namespace rpic
