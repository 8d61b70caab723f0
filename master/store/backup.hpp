#pragma once

#include <cstdint>
#include <filesystem>

namespace rpic {

struct RestoredBackup {
    std::int64_t epoch = 0;  // of the restored store
    std::int64_t files = 0;  // outputs and blobs
    std::int64_t bytes = 0;
};

/// Makes a master's folder from a backup (Store::backup). The epoch becomes one more and the next
/// job id is rounded up by a thousand, so that no number is ever given twice, whatever the old
/// master did after its backup. Throws ConfigError if the backup is damaged or the folder holds a
/// store; then nothing in the folder has changed.
RestoredBackup restore_backup(const std::filesystem::path& file,
                              const std::filesystem::path& folder);

}  // namespace rpic
