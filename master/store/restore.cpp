#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <stdexcept>

#include "common/errors.hpp"
#include "common/files.hpp"
#include "common/text.hpp"
#include "master/store/backup.hpp"
#include "master/store/backup_names.hpp"
#include "master/store/database.hpp"
#include "master/store/disk.hpp"

namespace rpic {

namespace {

constexpr std::size_t piece_bytes = 1024 * 1024;
constexpr const char* unfinished = "restore.partial";

void refuse_what_is_there(const std::filesystem::path& folder) {
    for (const auto* name : {"store.db", "store.db-wal", "outputs", "blobs"}) {
        std::error_code error;
        const auto path = folder / name;
        if (!std::filesystem::exists(std::filesystem::symlink_status(path, error))) continue;
        // Empty folders are nobody's loss.
        if (std::filesystem::is_directory(path, error) && std::filesystem::is_empty(path, error) &&
            std::filesystem::remove(path, error))
            continue;
        throw std::runtime_error(folder.string() + " holds " + name +
                                 " already: move it away, or choose another --state-dir");
    }
}

void unpack(TarReader& archive, const TarReader::Member& member,
            const std::filesystem::path& folder) {
    if (member.name != backup_database && !is_backup_file(member.name))
        throw std::runtime_error("it holds " + printable(member.name, tar_name_bytes) +
                                 ", which no backup does");
    const auto path = folder / member.name;
    std::filesystem::create_directories(path.parent_path());
    const Descriptor file(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (!file) fail("write", path);
    for (;;) {
        auto bytes = archive.read(piece_bytes);
        if (bytes.empty()) return;
        while (!bytes.empty()) {
            const auto count = ::write(file.get(), bytes.data(), bytes.size());
            if (count < 0 && errno == EINTR) continue;
            if (count <= 0) fail("write", path);
            bytes.remove_prefix(static_cast<std::size_t>(count));
        }
    }
}

/// Files first, the database last: it makes the folder a store.
void move_to_place(const std::filesystem::path& from, const std::filesystem::path& folder) {
    const Descriptor opened(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!opened || ::syncfs(opened.get()) != 0) fail("write", folder);
    for (const auto* name : {"outputs", "blobs", backup_database}) {
        if (!std::filesystem::exists(from / name)) continue;
        std::filesystem::rename(from / name, folder / name);
        if (::fsync(opened.get()) != 0) fail("write", folder);
    }
}

RestoredBackup restore(const std::filesystem::path& file, const std::filesystem::path& folder) {
    TarReader archive(file);
    refuse_what_is_there(folder);
    const auto target = folder / unfinished;
    std::filesystem::remove_all(target);
    make_private_folder(target);
    RestoredBackup restored;
    TarReader::Member member;
    bool database = false;
    while (archive.next(member)) {
        unpack(archive, member, target);
        restored.bytes += member.size;
        if (member.name == backup_database)
            database = true;
        else
            ++restored.files;
    }
    if (!database) throw std::runtime_error("it holds no database");
    restored.epoch = renew_sqlite(target / backup_database);
    move_to_place(target, folder);
    std::filesystem::remove_all(target);
    return restored;
}

}  // namespace

RestoredBackup restore_backup(const std::filesystem::path& file,
                              const std::filesystem::path& folder) {
    make_private_folder(folder);
    try {
        return restore(file, folder);
    } catch (const std::runtime_error& error) {
        std::error_code ignored;
        std::filesystem::remove_all(folder / unfinished, ignored);
        throw ConfigError("cannot restore " + file.string() + ": " + error.what());
    }
}

}  // namespace rpic
