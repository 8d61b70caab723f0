#include "cli/part_folder.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <utility>

#include "common/beneath.hpp"
#include "common/file_error.hpp"
#include "common/limits.hpp"

namespace rpic {

namespace {

constexpr const char* lock_name = "lock";

std::filesystem::path numbered(const std::filesystem::path& folder, int number) {
    return folder /
           (number == 1 ? ".rpicluster-part" : ".rpicluster-part-" + std::to_string(number));
}

void check_own(const std::filesystem::path& path) {
    struct stat status {};
    if (::lstat(path.c_str(), &status) != 0) fail_file("look at", path.native());
    if (!S_ISDIR(status.st_mode) || status.st_uid != ::geteuid())
        throw FileError("conflict", path.native() + " is in the way: delete it");
}

/// Whether this is the file that has the name: its owner removes it, and then it locks nothing.
bool is_file(const Descriptor& file, const std::filesystem::path& path) {
    struct stat opened {};
    struct stat named {};
    return ::fstat(file.get(), &opened) == 0 && ::lstat(path.c_str(), &named) == 0 &&
           opened.st_dev == named.st_dev && opened.st_ino == named.st_ino;
}

/// Takes the lock of this folder, which is made if it is not there; nothing if another process has
/// it.
std::optional<Descriptor> take(const std::filesystem::path& path) {
    const auto file = path / lock_name;
    for (;;) {
        if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST)
            fail_file("make the folder", path.native());
        check_own(path);
        Descriptor lock(::open(file.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600));
        if (!lock && errno == ENOENT) continue;  // removed in between
        if (!lock) fail_file("write", file.native());
        // A file system that knows no locks is used as by one alone.
        if (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
            return std::nullopt;
        if (is_file(lock, file)) return lock;
    }
}

/// The lock goes last: whoever finds none makes another, and the folder stays his.
void clear(const std::filesystem::path& path) {
    std::error_code error;
    for (std::filesystem::directory_iterator entry(path, error), end; !error && entry != end;
         entry.increment(error)) {
        if (entry->path().filename() == lock_name) continue;
        Removing removing(entry->path().native());
        while (!removing.step()) continue;
    }
    ::unlink((path / lock_name).c_str());
    ::rmdir(path.c_str());
}

}  // namespace

PartFolder::PartFolder(const std::filesystem::path& folder) : folder_(folder) {
    for (int number = 1; number <= limits::downloads_per_folder; ++number) {
        path_ = numbered(folder, number);
        auto lock = take(path_);
        if (!lock) continue;
        lock_ = std::move(*lock);
        return;
    }
    throw FileError("conflict", "there are " + std::to_string(limits::downloads_per_folder) +
                                    " downloads into " + folder.native() +
                                    " already: wait for some of them");
}

void PartFolder::remove() {
    clear(path_);
    lock_.reset();
    for (int number = 1; number <= limits::downloads_per_folder; ++number) {
        const auto other = numbered(folder_, number);
        struct stat status {};
        if (::lstat(other.c_str(), &status) != 0) continue;
        try {
            if (const auto lock = take(other)) clear(other);
        } catch (const FileError&) {
            continue;  // not ours: it harms nobody
        }
    }
}

}  // namespace rpic
