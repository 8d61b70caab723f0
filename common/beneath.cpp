#include "common/beneath.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "common/folder_names.hpp"
#include "common/limits.hpp"
#include "common/text.hpp"

namespace rpic {

namespace {

std::string for_log(std::string_view path) {
    return printable(path, limits::log_text_chars);
}

/// Goes through a folder that a task has filled.
class Search {
  public:
    Search(const Globs& globs, std::int64_t uid, Found& found)
        : globs_(globs), uid_(uid), found_(found) {}

    /// `all`: the folder itself matched, so everything in it comes.
    void folder(const Descriptor& folder, const std::string& path, const Globs::Walk& walk,
                bool all, int depth) {
        auto names = names_in(folder, limits::manifest_entries, for_log(path));
        std::sort(names.begin(), names.end());
        for (const auto& name : names) {
            const auto next = globs_.down(walk, name);
            const bool matched = all || next.matched;
            if (!matched && !next.further) continue;
            entry(folder, name, path.empty() ? name : path + "/" + name, next, matched, depth);
        }
    }

  private:
    void entry(const Descriptor& folder, const std::string& name, const std::string& path,
               const Globs::Walk& walk, bool matched, int depth) {
        struct stat status {};
        if (::fstatat(folder.get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) return;
        if (S_ISDIR(status.st_mode)) return enter(folder, name, path, walk, matched, depth, status);
        if (!matched) return;
        if (const auto problem = path_problem(path); !problem.empty())
            return leave_out(path, problem);
        if (S_ISLNK(status.st_mode)) return link(folder, name, path);
        if (!S_ISREG(status.st_mode)) return leave_out(path, "is a socket, pipe or device");
        if (uid_ >= 0 && static_cast<std::int64_t>(status.st_uid) != uid_)
            return leave_out(path, "belongs to another user");
        ManifestEntry file;
        file.path = path;
        file.mode = static_cast<int>(status.st_mode & 0777);
        file.size = status.st_size;
        push(std::move(file));
    }

    void enter(const Descriptor& folder, const std::string& name, const std::string& path,
               const Globs::Walk& walk, bool matched, int depth, const struct stat& status) {
        const auto problem = path_problem(path);
        if (!problem.empty() || depth >= limits::folder_depth) {
            leave_out(path, problem.empty() ? "is nested too deep" : problem);
            return;
        }
        const Descriptor inner(
            ::openat(folder.get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
        if (!inner) return leave_out(path, "cannot be read");
        if (matched) {
            ManifestEntry entry;
            entry.path = path;
            entry.mode = static_cast<int>(status.st_mode & 0777);
            entry.folder = true;
            push(std::move(entry));
        }
        this->folder(inner, path, walk, matched, depth + 1);
    }

    void link(const Descriptor& folder, const std::string& name, const std::string& path) {
        std::string target(limits::path_bytes + 1, '\0');
        const auto size = ::readlinkat(folder.get(), name.c_str(), target.data(), target.size());
        if (size < 0) return;
        target.resize(static_cast<std::size_t>(size));
        if (!link_stays_inside(path, target)) return leave_out(path, "is a link that leads out");
        ManifestEntry entry;
        entry.path = path;
        entry.link = target;
        push(std::move(entry));
    }

    void push(ManifestEntry entry) {
        if (found_.manifest.entries.size() >= limits::manifest_entries)
            throw FileError("bad_request", "more than " + std::to_string(limits::manifest_entries) +
                                               " files match --out: pack them into an archive");
        found_.manifest.entries.push_back(std::move(entry));
    }

    void leave_out(const std::string& path, const std::string& why) {
        found_.leave_out(for_log(path) + " " + why);
    }

    const Globs& globs_;
    std::int64_t uid_;
    Found& found_;
};

}  // namespace

void Found::leave_out(std::string text) {
    constexpr std::size_t told = 10;
    if (left_out.size() < told) left_out.push_back(std::move(text));
}

Descriptor open_folder(const std::string& path) {
    Descriptor folder(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!folder) fail_file("open the folder", path);
    return folder;
}

Descriptor open_beneath(const Descriptor& folder, const std::string& path, std::int64_t uid) {
    if (const auto problem = path_problem(path); !problem.empty())
        throw FileError("bad_request", "the path " + for_log(path) + " " + problem);
    Descriptor inner;
    std::size_t begin = 0;
    for (auto end = path.find('/'); end != std::string::npos; end = path.find('/', begin)) {
        const int from = inner ? inner.get() : folder.get();
        inner = Descriptor(::openat(from, path.substr(begin, end - begin).c_str(),
                                    O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
        if (!inner) fail_file("open", path);
        begin = end + 1;
    }
    const int from = inner ? inner.get() : folder.get();
    // Opening a pipe must not wait for somebody who writes into it.
    Descriptor file(::openat(from, path.c_str() + begin,
                             O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
    if (!file) fail_file("open", path);
    struct stat status {};
    if (::fstat(file.get(), &status) != 0) fail_file("open", path);
    const bool theirs = uid >= 0 && static_cast<std::int64_t>(status.st_uid) != uid;
    if (!S_ISREG(status.st_mode) || theirs)
        throw FileError("bad_request",
                        for_log(path) + (theirs ? " belongs to another user" : " is no file"));
    return file;
}

Found find_matching(const Descriptor& folder, const Globs& globs, std::int64_t uid) {
    Found found;
    const auto walk = globs.begin();
    Search(globs, uid, found).folder(folder, {}, walk, walk.matched, 1);
    put_in_order(found.manifest);
    return found;
}

// -------------------------------------------------------------------------------------- removing

namespace {

constexpr int removing_depth = 32;  // deeper folders are moved up first: no recursion without end

/// Opens a folder to empty it. Who is not root gives himself the right first.
Descriptor open_to_empty(int parent, const char* name) {
    if (::geteuid() != 0) {
        const Descriptor itself(
            ::openat(parent, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
        const auto by_number = "/proc/self/fd/" + std::to_string(itself.get());
        if (itself) ::chmod(by_number.c_str(), 0700);
    }
    return Descriptor(::openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
}

}  // namespace

Removing::Removing(std::string path) : path_(std::move(path)) {}

bool Removing::step() {
    if (!top_) {
        top_ = open_to_empty(AT_FDCWD, path_.c_str());
        if (!top_ && errno == ENOENT) return true;
        // No folder: what was put in its place goes, and not what a link leads to.
        const bool other = !top_ && (errno == ENOTDIR || errno == ELOOP);
        if (other && ::unlink(path_.c_str()) == 0) return true;
        if (!top_) fail_file("remove", path_);
    }
    left_ = limits::file_step_entries;
    if (!empty_folder(top_, 0)) return false;
    if (::rmdir(path_.c_str()) == 0 || errno == ENOENT) return true;
    // Somebody still makes files there, or what lay deep was moved up meanwhile.
    if (errno == ENOTEMPTY || errno == EEXIST) return false;
    fail_file("remove", path_);
}

/// True once it is empty; false if this step has done enough.
bool Removing::empty_folder(const Descriptor& folder, int depth) {
    for (;;) {
        const auto names = names_in(folder, std::max<std::size_t>(left_, 1), path_);
        if (names.empty()) return true;
        for (const auto& name : names) {
            if (left_ == 0) return false;
            if (!remove_entry(folder, name, depth)) return false;
        }
    }
}

bool Removing::remove_entry(const Descriptor& folder, const std::string& name, int depth) {
    --left_;
    if (::unlinkat(folder.get(), name.c_str(), 0) == 0 || errno == ENOENT) return true;
    if (errno != EISDIR && errno != EPERM) fail_file("remove", path_ + "/.../" + name);
    if (::unlinkat(folder.get(), name.c_str(), AT_REMOVEDIR) == 0) return true;
    if (errno == ENOTDIR) {
        errno = EPERM;
        fail_file("remove", path_ + "/.../" + name);
    }
    const auto inner = open_to_empty(folder.get(), name.c_str());
    if (!inner) fail_file("remove", path_ + "/.../" + name);
    if (depth >= removing_depth) {
        const auto place = ".moved-" + std::to_string(++moved_);
        if (::renameat(folder.get(), name.c_str(), top_.get(), place.c_str()) == 0) return true;
        if (errno == EEXIST || errno == ENOTEMPTY || errno == ENOTDIR) return true;  // the next one
        fail_file("remove", path_ + "/.../" + name);
    }
    if (!empty_folder(inner, depth + 1)) return false;
    if (::unlinkat(folder.get(), name.c_str(), AT_REMOVEDIR) == 0 || errno == ENOENT) return true;
    if (errno == ENOTEMPTY || errno == EEXIST) return true;  // it is seen again
    fail_file("remove", path_ + "/.../" + name);
}

}  // namespace rpic
