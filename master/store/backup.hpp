#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "master/store/records.hpp"
#include "master/store/tar.hpp"

namespace rpic {

class Database;

/// A backup in the making: one tar archive that holds a copy of the database (store.db), the files
/// of outputs/ and blobs/, and their checksums (SHA256SUMS, for `sha256sum -c`) at its end. Each
/// step does a bounded piece of work. Until the last one the archive is called FILE.partial.
class Backup {
  public:
    /// `folder` is the one with outputs/ and blobs/.
    Backup(Database& database, std::filesystem::path folder, std::filesystem::path file);
    /// Removes what is not complete.
    ~Backup();
    Backup(const Backup&) = delete;
    Backup& operator=(const Backup&) = delete;

    /// False once the backup is complete. Throws std::runtime_error with the reason.
    bool step();

    const std::filesystem::path& file() const { return file_; }
    const MadeBackup& made() const { return made_; }

  private:
    std::filesystem::path with(const char* suffix) const;
    void list_files();
    bool pack_some();
    void finish();

    Database& database_;
    std::filesystem::path folder_;
    std::filesystem::path file_;
    std::unique_ptr<TarWriter> tar_;
    std::vector<std::string> names_;  // that are still to be packed, the next one last
    Descriptor current_;
    std::int64_t left_ = 0;  // of the current file
    bool copying_ = true;
    MadeBackup made_;
};

struct RestoredBackup {
    std::int64_t epoch = 0;  // of the restored store
    std::int64_t files = 0;  // outputs and blobs
    std::int64_t bytes = 0;
};

/// Makes a master's folder from a backup (Store::backup). The epoch becomes one more and the next
/// job id jumps ahead by a thousand at least, so that no number is ever given twice, whatever the
/// old master did after its backup. Throws ConfigError if the backup is damaged or the folder holds
/// a store; then nothing in the folder has changed.
RestoredBackup restore_backup(const std::filesystem::path& file,
                              const std::filesystem::path& folder);

}  // namespace rpic
