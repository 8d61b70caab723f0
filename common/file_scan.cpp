#include "common/file_scan.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <memory>

#include "common/file_io.hpp"
#include "common/limits.hpp"
#include "common/sha256.hpp"
#include "common/text.hpp"

namespace rpic {

namespace {

std::string shown(std::string_view path) {
    return printable(path, limits::path_bytes);
}

[[noreturn]] void refuse(std::string_view path, const std::string& why) {
    throw FileError("bad_request", shown(path) + " " + why);
}

struct stat status_of(const std::string& path, bool follow) {
    struct stat status {};
    const int result = follow ? ::stat(path.c_str(), &status) : ::lstat(path.c_str(), &status);
    if (result != 0) fail_file("read", path);
    return status;
}

std::string link_target(const std::string& path) {
    std::string target(limits::path_bytes + 1, '\0');
    const auto size = ::readlink(path.c_str(), target.data(), target.size());
    if (size < 0) fail_file("read the link", path);
    target.resize(static_cast<std::size_t>(size));
    return target;
}

std::vector<std::string> names_in(const std::string& folder) {
    struct Close {
        void operator()(DIR* stream) const { ::closedir(stream); }
    };
    const std::unique_ptr<DIR, Close> stream(::opendir(folder.c_str()));
    if (!stream) fail_file("read the folder", folder);
    std::vector<std::string> names;
    while (const auto* entry = ::readdir(stream.get())) {
        const std::string name = entry->d_name;
        if (name != "." && name != "..") names.push_back(name);
        if (names.size() > limits::manifest_entries) break;
    }
    return names;
}

/// Goes through what one --in names.
class Scan {
  public:
    Scan(std::vector<ScannedFile>& files, std::string top) : files_(files), top_(std::move(top)) {}

    void add(const std::string& source, const std::string& path, bool named_itself) {
        auto status = status_of(source, named_itself);
        if (S_ISLNK(status.st_mode)) {
            const auto target = link_target(source);
            if (link_stays_inside(path, target, top_)) return add_link(path, target);
            status = linked(source);
        }
        if (S_ISDIR(status.st_mode)) return add_folder(source, path, status);
        if (!S_ISREG(status.st_mode))
            refuse(source, "is no file but a socket, pipe or device: it cannot travel");
        ScannedFile file;
        file.entry.path = path;
        file.entry.mode = static_cast<int>(status.st_mode & 0777);
        file.entry.size = status.st_size;
        file.source = source;
        if (::access(source.c_str(), R_OK) != 0) fail_file("read", source);
        push(std::move(file));
    }

  private:
    /// A link that leads out is followed, if that is clear.
    struct stat linked(const std::string& source) {
        const auto status = status_of(source, true);
        if (S_ISDIR(status.st_mode))
            refuse(source,
                   "is a link to a folder that lies elsewhere: name that folder with --in, or "
                   "replace the link");
        return status;
    }

    void add_folder(const std::string& source, const std::string& path, const struct stat& status) {
        if (!path.empty()) {
            ScannedFile folder;
            folder.entry.path = path;
            folder.entry.mode = static_cast<int>(status.st_mode & 0777);
            folder.entry.folder = true;
            push(std::move(folder));
        }
        for (const auto& name : names_in(source))
            add(source + "/" + name, path.empty() ? name : path + "/" + name, false);
    }

    void add_link(const std::string& path, const std::string& target) {
        ScannedFile link;
        link.entry.path = path;
        link.entry.link = target;
        push(std::move(link));
    }

    void push(ScannedFile file) {
        if (const auto problem = path_problem(file.entry.path); !problem.empty())
            refuse(file.entry.path, problem);
        if (files_.size() >= limits::manifest_entries)
            throw FileError("bad_request", "more than " + std::to_string(limits::manifest_entries) +
                                               " files: pack them into an archive");
        files_.push_back(std::move(file));
    }

    std::vector<ScannedFile>& files_;
    std::string top_;
};

/// The place of what is named: where it is, unless that is not below this folder.
std::string place_of(const std::string& path) {
    const auto clean = std::filesystem::path(path).lexically_normal();
    const bool outside = clean.is_absolute() || *clean.begin() == "..";
    if (!outside) {
        auto place = clean.native();
        if (place.ends_with('/')) place.pop_back();
        return place == "." ? std::string{} : place;
    }
    std::error_code error;
    auto name = clean.filename().empty() ? clean.parent_path().filename() : clean.filename();
    // "../.." says nothing about the name.
    if (name == "..") name = std::filesystem::canonical(clean, error).filename();
    if (error || name.empty() || name == "/")
        refuse(path, "has no name of its own: name files or folders in it");
    return name.native();
}

bool same_file(const ScannedFile& a, const ScannedFile& b) {
    if (a.entry.folder && b.entry.folder) return true;
    if (!a.entry.link.empty() || !b.entry.link.empty()) return a.entry.link == b.entry.link;
    if (a.entry.folder != b.entry.folder) return false;
    const auto left = status_of(a.source, true);
    const auto right = status_of(b.source, true);
    return left.st_dev == right.st_dev && left.st_ino == right.st_ino;
}

}  // namespace

std::vector<ScannedFile> scan_files(const std::vector<std::string>& paths) {
    std::vector<ScannedFile> files;
    for (const auto& path : paths) {
        if (path.empty()) throw FileError("bad_request", "an empty name for --in");
        const auto place = place_of(path);
        Scan(files, place).add(path, place, true);
    }
    std::sort(files.begin(), files.end(),
              [](const auto& a, const auto& b) { return a.entry.path < b.entry.path; });
    const auto merge = [](const ScannedFile& a, const ScannedFile& b) {
        if (a.entry.path != b.entry.path) return false;
        if (same_file(a, b)) return true;
        throw FileError("conflict", shown(a.source) + " and " + shown(b.source) +
                                        " would both become " + shown(a.entry.path));
    };
    files.erase(std::unique(files.begin(), files.end(), merge), files.end());
    return files;
}

Descriptor open_source(const ScannedFile& file) {
    Descriptor source(::open(file.source.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (!source) fail_file("read", file.source);
    return source;
}

void hash_file(ScannedFile& file) {
    const auto source = open_source(file);
    struct stat before {};
    struct stat after {};
    if (::fstat(source.get(), &before) != 0) fail_file("read", file.source);
    if (!S_ISREG(before.st_mode)) refuse(file.source, "is no file any more");
    Sha256 hash;
    std::int64_t size = 0;
    for (;;) {
        const auto bytes = read_at(source, size, file_read_bytes, file.source);
        hash.update(bytes);
        size += static_cast<std::int64_t>(bytes.size());
        if (bytes.size() < file_read_bytes) break;
        if (size > limits::blob_bytes) refuse(file.source, "is too large to travel");
    }
    if (::fstat(source.get(), &after) != 0) fail_file("read", file.source);
    const bool changed = size != after.st_size || before.st_mtim.tv_sec != after.st_mtim.tv_sec ||
                         before.st_mtim.tv_nsec != after.st_mtim.tv_nsec;
    if (changed)
        throw FileError(
            "conflict",
            shown(file.source) + " changed while it was read: try again once it is complete");
    file.entry.size = size;
    file.entry.blob = hash.finish();
}

}  // namespace rpic
