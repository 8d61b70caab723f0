#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "common/beneath.hpp"
#include "common/file_io.hpp"
#include "common/keys.hpp"
#include "common/limits.hpp"
#include "common/text.hpp"

/// Making the files of a manifest below a folder.
namespace rpic {

namespace {

constexpr int folder_flags = O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;

std::string parent_path(const std::string& path) {
    const auto slash = path.rfind('/');
    return slash == std::string::npos ? std::string{} : path.substr(0, slash);
}

std::string name_of(const std::string& path) {
    return path.substr(path.rfind('/') + 1);
}

[[noreturn]] void cannot_place(const std::string& path) {
    const bool in_the_way = errno == ENOTDIR || errno == ELOOP || errno == EISDIR;
    if (!in_the_way) fail_file("make", path);
    throw FileError("conflict", "cannot make " + printable(path, limits::log_text_chars) +
                                    ": something of another kind is in its place, and nothing is "
                                    "written through links");
}

}  // namespace

Placing::Placing(Descriptor folder, Manifest manifest, Source source, Owner owner)
    : folder_(std::move(folder)),
      manifest_(std::move(manifest)),
      source_(std::move(source)),
      owner_(owner),
      temporary_(".rpicluster-" + random_hex(8)) {}

Placing::~Placing() {
    if (!to_) return;
    const bool at_top = parent_path(manifest_.entries[next_].path).empty();
    ::unlinkat((at_top ? folder_ : parent_).get(), temporary_.c_str(), 0);
}

bool Placing::step() {
    if (complete_) return true;
    std::int64_t bytes = 0;
    for (std::size_t count = 0; count < limits::file_step_entries; ++count) {
        if (next_ == manifest_.entries.size()) {
            set_folder_modes();
            return complete_ = true;
        }
        const auto& entry = manifest_.entries[next_];
        if (!to_) place(entry);
        if (to_) bytes += copy_more(entry);
        if (to_) return false;  // there is more of it to copy
        ++next_;
        if (bytes >= static_cast<std::int64_t>(limits::file_step_bytes)) return false;
    }
    return false;
}

void Placing::place(const ManifestEntry& entry) {
    // A manifest was checked when it was parsed; one that was made here is not trusted more.
    if (const auto problem = path_problem(entry.path); !problem.empty())
        throw FileError("bad_request", "the path " + printable(entry.path, limits::log_text_chars) +
                                           " " + problem);
    if (entry.folder)
        make_folder(entry);
    else if (!entry.link.empty())
        make_link(entry);
    else
        begin_file(entry);
}

void Placing::give_away(const Descriptor& parent, const std::string& name,
                        const std::string& path) {
    if (owner_.uid < 0 && owner_.gid < 0) return;
    if (::fchownat(parent.get(), name.c_str(), static_cast<uid_t>(owner_.uid),
                   static_cast<gid_t>(owner_.gid), AT_SYMLINK_NOFOLLOW) != 0)
        fail_file("change the owner of", path);
}

/// Opens a folder in another, and makes it first if it is not there.
Descriptor Placing::enter(const Descriptor& parent, const std::string& name,
                          const std::string& path) {
    Descriptor folder(::openat(parent.get(), name.c_str(), O_PATH | folder_flags));
    if (folder) return folder;
    if (errno != ENOENT || ::mkdirat(parent.get(), name.c_str(), 0777) != 0) cannot_place(path);
    give_away(parent, name, path);
    folder = Descriptor(::openat(parent.get(), name.c_str(), O_PATH | folder_flags));
    if (!folder) cannot_place(path);
    return folder;
}

const Descriptor& Placing::parent_of(const std::string& path) {
    const auto wanted = parent_path(path);
    if (wanted.empty()) return folder_;
    if (parent_ && parent_path_ == wanted) return parent_;
    Descriptor inner;
    for (std::size_t begin = 0; begin <= wanted.size();) {
        const auto end = std::min(wanted.find('/', begin), wanted.size());
        const auto name = wanted.substr(begin, end - begin);
        inner = enter(inner ? inner : folder_, name, wanted.substr(0, end));
        begin = end + 1;
    }
    parent_ = std::move(inner);
    parent_path_ = wanted;
    return parent_;
}

void Placing::make_folder(const ManifestEntry& entry) {
    const auto& parent = parent_of(entry.path);
    const auto name = name_of(entry.path);
    if (::mkdirat(parent.get(), name.c_str(), 0700) == 0) {
        made_.push_back(next_);
        return give_away(parent, name, entry.path);
    }
    if (errno != EEXIST) cannot_place(entry.path);
    enter(parent, name, entry.path);
}

void Placing::make_link(const ManifestEntry& entry) {
    if (!link_stays_inside(entry.path, entry.link))
        throw FileError("bad_request", "the link " + printable(entry.path, limits::log_text_chars) +
                                           " leads out of its folder");
    const auto& parent = parent_of(entry.path);
    const auto name = name_of(entry.path);
    if (::symlinkat(entry.link.c_str(), parent.get(), temporary_.c_str()) != 0)
        cannot_place(entry.path);
    if (::renameat(parent.get(), temporary_.c_str(), parent.get(), name.c_str()) != 0) {
        const int error = errno;
        ::unlinkat(parent.get(), temporary_.c_str(), 0);
        errno = error;
        cannot_place(entry.path);
    }
    give_away(parent, name, entry.path);
}

void Placing::begin_file(const ManifestEntry& entry) {
    const auto& parent = parent_of(entry.path);
    from_ = source_(entry);
    copied_ = 0;
    if (!from_.move_from.empty() &&
        ::renameat(AT_FDCWD, from_.move_from.c_str(), parent.get(), temporary_.c_str()) == 0) {
        to_ = Descriptor(
            ::openat(parent.get(), temporary_.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
        if (!to_) cannot_place(entry.path);
        copied_ = entry.size;
        return;
    }
    to_ = Descriptor(::openat(parent.get(), temporary_.c_str(),
                              O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!to_) cannot_place(entry.path);
    if (share_bytes(from_.file, to_)) copied_ = entry.size;
}

/// Gives how many bytes; `to_` is closed once the file is there.
std::int64_t Placing::copy_more(const ManifestEntry& entry) {
    std::int64_t bytes = 0;
    while (copied_ < entry.size && bytes < static_cast<std::int64_t>(limits::file_step_bytes)) {
        const auto count = copy_part(from_.file, to_, copied_, limits::file_step_bytes, entry.path);
        if (count == 0) break;
        copied_ += count;
        bytes += count;
    }
    const bool more = copied_ < entry.size && bytes > 0;
    if (!more) finish_file(entry);
    return bytes;
}

void Placing::finish_file(const ManifestEntry& entry) {
    struct stat status {};
    if (::fstat(to_.get(), &status) != 0) fail_file("make", entry.path);
    if (status.st_size != entry.size)
        throw FileError("conflict", printable(entry.path, limits::log_text_chars) +
                                        " has another size than its list of files says");
    const auto& parent = parent_of(entry.path);
    give_away(parent, temporary_, entry.path);
    if (::fchmod(to_.get(), static_cast<mode_t>(entry.mode)) != 0) fail_file("make", entry.path);
    if (::renameat(parent.get(), temporary_.c_str(), parent.get(), name_of(entry.path).c_str()) !=
        0)
        cannot_place(entry.path);
    to_.reset();
    from_ = {};
    ++files_;
    bytes_ += entry.size;
}

/// Last, because a folder without the right to write takes no files.
void Placing::set_folder_modes() {
    for (auto index = made_.rbegin(); index != made_.rend(); ++index) {
        const auto& entry = manifest_.entries[*index];
        const auto& parent = parent_of(entry.path);
        const Descriptor folder(
            ::openat(parent.get(), name_of(entry.path).c_str(), O_RDONLY | folder_flags));
        if (!folder || ::fchmod(folder.get(), static_cast<mode_t>(entry.mode)) != 0)
            cannot_place(entry.path);
    }
}

}  // namespace rpic
