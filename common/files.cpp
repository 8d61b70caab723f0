#include "common/files.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "common/descriptor.hpp"
#include "common/errors.hpp"
#include "common/limits.hpp"
#include "common/text.hpp"

namespace rpic {

namespace {

[[noreturn]] void fail(const std::string& what, const std::filesystem::path& path) {
    throw ConfigError("cannot " + what + " " + path.string() + ": " + std::strerror(errno));
}

bool write_all(int descriptor, std::string_view text) {
    while (!text.empty()) {
        const auto count = ::write(descriptor, text.data(), text.size());
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) return false;
        text.remove_prefix(static_cast<std::size_t>(count));
    }
    return true;
}

/// What a lock file says about its owner; 0 if it says nothing.
int owner_of(int descriptor) {
    char text[16] = {};
    if (::pread(descriptor, text, sizeof text - 1, 0) <= 0) return 0;
    return std::atoi(text);
}

}  // namespace

std::optional<std::string> read_file_if_there(const std::filesystem::path& path,
                                              std::size_t max_bytes) {
    const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file) {
        if (errno == ENOENT || errno == ENOTDIR) return std::nullopt;
        fail("read", path);
    }
    std::string text(max_bytes + 1, '\0');
    std::size_t size = 0;
    while (size < text.size()) {
        const auto count = ::read(file.get(), text.data() + size, text.size() - size);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) fail("read", path);
        if (count == 0) break;
        size += static_cast<std::size_t>(count);
    }
    if (size > max_bytes)
        throw ConfigError(path.string() + " is larger than " +
                          format_size(static_cast<std::int64_t>(max_bytes)) +
                          ": surely not the file that is meant");
    text.resize(size);
    text.shrink_to_fit();
    return text;
}

void write_secret(const std::filesystem::path& path, std::string_view text) {
    auto temporary = path;
    temporary += ".new";
    ::unlink(temporary.c_str());
    {
        const Descriptor file(
            ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
        if (!file) fail("write", temporary);
        if (!write_all(file.get(), text) || ::fsync(file.get()) != 0) fail("write", temporary);
    }
    if (::rename(temporary.c_str(), path.c_str()) != 0) {
        const int error = errno;
        ::unlink(temporary.c_str());
        errno = error;
        fail("write", path);
    }
    const auto parent = path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
    const Descriptor folder(::open(parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!folder || ::fsync(folder.get()) != 0) fail("write", parent);
}

void make_private_folder(const std::filesystem::path& folder) {
    std::error_code error;
    if (folder.has_parent_path()) std::filesystem::create_directories(folder.parent_path(), error);
    if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) {
        if (error) errno = error.value();  // why there is no parent says more
        fail("make the state directory (choose another with --state-dir)", folder);
    }
    const bool usable = std::filesystem::is_directory(folder, error) &&
                        ::access(folder.c_str(), R_OK | W_OK | X_OK) == 0;
    if (!usable) fail("write into the state directory (choose another with --state-dir)", folder);
    // One that many share, such as /tmp, must stay open for them; the programs' own folders are
    // inside.
    struct stat status {};
    if (::stat(folder.c_str(), &status) != 0 || (status.st_mode & S_ISVTX) != 0) return;
    const bool ours = status.st_uid == ::geteuid() || status.st_uid == 0;
    if (!ours)
        throw ConfigError("the state directory " + folder.string() +
                          " belongs to another user, who could read the keys in it: choose another "
                          "with --state-dir");
    // To pass through is allowed: the user of tasks has to get to its folder.
    if ((status.st_mode & 066) != 0 && ::chmod(folder.c_str(), 0700) != 0)
        fail("close to others", folder);
}

std::filesystem::path state_dir(const std::string& given) {
    if (!given.empty()) return std::filesystem::absolute(given);
    if (::geteuid() == 0) return "/var/lib/rpicluster";
    if (const char* state = std::getenv("XDG_STATE_HOME"); state != nullptr && *state == '/')
        return std::filesystem::path(state) / "rpicluster";
    const char* home = std::getenv("HOME");
    if (home == nullptr || *home != '/')
        throw ConfigError("no home directory is known: choose a folder with --state-dir");
    return std::filesystem::path(home) / ".local/state/rpicluster";
}

FolderLock::FolderLock(const std::filesystem::path& folder, std::string_view what)
    : descriptor_(::open((folder / "lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600)) {
    if (descriptor_ < 0) fail("open", folder / "lock");
    if (::flock(descriptor_, LOCK_EX | LOCK_NB) != 0) {
        const int owner = owner_of(descriptor_);
        ::close(std::exchange(descriptor_, -1));
        throw AlreadyRunningError(std::string(what) + " runs already in " + folder.string() +
                                  (owner > 0 ? " (process " + std::to_string(owner) + ")" : "") +
                                  ": stop it or choose another --state-dir");
    }
    const auto text = std::to_string(::getpid()) + "\n";
    if (::ftruncate(descriptor_, 0) != 0 ||
        ::pwrite(descriptor_, text.data(), text.size(), 0) != static_cast<ssize_t>(text.size())) {
        const int error = errno;
        ::close(std::exchange(descriptor_, -1));
        errno = error;
        fail("write", folder / "lock");
    }
}

FolderLock::~FolderLock() {
    if (descriptor_ >= 0) ::close(descriptor_);
}

}  // namespace rpic
