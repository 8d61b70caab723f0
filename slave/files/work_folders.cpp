#include "slave/files/work_folders.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "common/errors.hpp"
#include "common/file_error.hpp"
#include "common/limits.hpp"
#include "slave/files/work_folder.hpp"

namespace rpic {

namespace {

/// Of an empty folder; one that has held many files stays larger, and slower, for ever.
constexpr off_t small_folder_bytes = 4096;

/// Consumes the descriptor.
bool is_empty(Descriptor folder) {
    DIR* const entries = ::fdopendir(folder.get());
    if (entries == nullptr) return false;
    folder.release();
    bool empty = true;
    while (const auto* entry = ::readdir(entries)) {
        const std::string_view name = entry->d_name;
        empty = empty && (name == "." || name == "..");
    }
    ::closedir(entries);
    return empty;
}

}  // namespace

struct WorkFolders::Place {
    std::string parent;
    Owner owner;
    std::vector<std::string> kept;  // paths
    std::uint64_t kept_ever = 0;

    bool is_as_new(const std::string& path) const;
    bool keep(const std::string& path);
    bool give_kept(const std::string& path);
    int make(const std::string& path);
};

bool WorkFolders::Place::is_as_new(const std::string& path) const {
    Descriptor folder(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    struct stat status {};
    if (!folder || ::fstat(folder.get(), &status) != 0) return false;
    const auto uid = owner.uid < 0 ? ::geteuid() : static_cast<uid_t>(owner.uid);
    const auto gid = owner.gid < 0 ? ::getegid() : static_cast<gid_t>(owner.gid);
    if (status.st_uid != uid || status.st_gid != gid || (status.st_mode & 07777) != 0700 ||
        status.st_size > small_folder_bytes)
        return false;
    // An access list would be one, too.
    if (::flistxattr(folder.get(), nullptr, 0) > 0) return false;
    return is_empty(std::move(folder));
}

/// False if the folder is not worth it, or enough are kept.
bool WorkFolders::Place::keep(const std::string& path) {
    if (kept.size() >= limits::work_folders_kept || !is_as_new(path)) return false;
    const auto name = parent + "/kept." + std::to_string(++kept_ever);
    if (::rename(path.c_str(), name.c_str()) != 0) return false;
    kept.push_back(name);
    return true;
}

/// Gives a kept folder a new name; false if there is none, or something else has that name.
bool WorkFolders::Place::give_kept(const std::string& path) {
    while (!kept.empty()) {
        const bool given = ::rename(kept.back().c_str(), path.c_str()) == 0;
        if (!given && errno != ENOENT) return false;
        kept.pop_back();
        if (given) return true;
    }
    return false;
}

/// 0, or the reason in errno's words.
int WorkFolders::Place::make(const std::string& path) {
    if (give_kept(path)) return 0;
    if (::mkdir(path.c_str(), 0700) != 0) return errno;
    if (owner.uid < 0 && owner.gid < 0) return 0;
    const auto uid = static_cast<uid_t>(owner.uid);
    const auto gid = static_cast<gid_t>(owner.gid);
    return ::lchown(path.c_str(), uid, gid) == 0 ? 0 : errno;
}

WorkFolders::WorkFolders(FileThread& files, std::string parent, Owner owner)
    : files_(files), place_(std::make_shared<Place>()) {
    place_->parent = std::move(parent);
    place_->owner = owner;
}

std::string WorkFolders::path_of(const std::string& name) const {
    return place_->parent + "/" + name;
}

asio::awaitable<std::vector<std::string>> WorkFolders::make(std::vector<std::string> names) {
    struct Made {
        std::vector<int> errors;
        std::size_t kept = 0;
    };
    std::vector<std::string> paths;
    for (const auto& name : names) paths.push_back(path_of(name));
    auto work = [place = place_, paths] {
        Made made;
        for (const auto& path : paths) made.errors.push_back(place->make(path));
        made.kept = place->kept.size();
        return made;
    };
    auto made = co_await files_.run(std::move(work));
    std::vector<std::string> troubles(paths.size());
    for (std::size_t i = 0; i < paths.size(); ++i) {
        if (made.errors[i] == EEXIST) {
            // Left by a crash, or by somebody who plays with us.
            try {
                co_await remove_folder(files_, paths[i]);
            } catch (const FileError& error) {
                troubles[i] = error.what();
                continue;
            }
            auto again = [place = place_, path = paths[i]] { return place->make(path); };
            made.errors[i] = co_await files_.run(std::move(again));
        }
        if (made.errors[i] != 0)
            troubles[i] =
                "cannot make the folder " + paths[i] + ": " + std::strerror(made.errors[i]);
    }
    kept_ = made.kept;
    co_return troubles;
}

asio::awaitable<std::vector<std::string>> WorkFolders::remove(std::vector<std::string> names,
                                                              bool keep) {
    struct Removed {
        std::vector<std::string> full;  // these take longer
        std::size_t kept = 0;
    };
    std::vector<std::string> paths;
    for (const auto& name : names) paths.push_back(path_of(name));
    auto work = [place = place_, paths, keep] {
        Removed removed;
        for (const auto& path : paths) {
            if (keep && place->keep(path)) continue;
            if (::rmdir(path.c_str()) != 0 && errno != ENOENT) removed.full.push_back(path);
        }
        removed.kept = place->kept.size();
        return removed;
    };
    const auto removed = co_await files_.run(std::move(work));
    kept_ = removed.kept;
    std::vector<std::string> troubles;
    for (const auto& path : removed.full) {
        try {
            co_await remove_folder(files_, path);
        } catch (const FileError& error) {
            troubles.emplace_back(error.what());
        }
    }
    co_return troubles;
}

asio::awaitable<void> WorkFolders::drop_kept() {
    auto work = [place = place_] {
        for (const auto& path : place->kept) ::rmdir(path.c_str());
        place->kept.clear();
    };
    co_await files_.run(std::move(work));
    kept_ = 0;
}

}  // namespace rpic
