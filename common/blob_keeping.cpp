#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <tuple>

#include "common/blob_store.hpp"
#include "common/limits.hpp"
#include "common/log.hpp"
#include "common/text.hpp"

/// What a store of blobs has, and for how long.
namespace rpic {

namespace {

void make_folder(const std::filesystem::path& folder) {
    if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST)
        fail_file("make the folder", folder.native());
}

/// What is in a folder, as far as it can be read: whoever looks after the store goes on with that.
std::vector<std::filesystem::path> entries_of(const std::filesystem::path& folder) {
    std::vector<std::filesystem::path> entries;
    std::error_code error;
    std::filesystem::directory_iterator entry(folder, error);
    for (; !error && entry != std::filesystem::directory_iterator(); entry.increment(error))
        entries.push_back(entry->path());
    if (error && error != std::errc::no_such_file_or_directory)
        log_rarely(Severity::warning, "files", folder.native(),
                   "cannot read " + folder.native() + ": " + error.message());
    return entries;
}

std::int64_t age_seconds(const struct stat& status) {
    return wall_seconds() - status.st_mtime;
}

}  // namespace

/// Reads what an earlier run has left.
void BlobStore::prepare() {
    if (prepared_) return;
    std::error_code error;
    if (folder_.has_parent_path())
        std::filesystem::create_directories(folder_.parent_path(), error);
    make_folder(folder_);
    make_folder(folder_ / "incoming");
    std::int64_t bytes = 0;
    std::int64_t partial_bytes = 0;
    for (const auto& info : list()) bytes += info.size;
    for (const auto& file : entries_of(folder_ / "incoming")) {
        struct stat status {};
        if (::lstat(file.c_str(), &status) != 0) continue;
        const bool half_copied = file.filename().native().starts_with(copy_prefix);
        if (half_copied || age_seconds(status) > std::chrono::seconds(limits::partial_kept).count())
            ::unlink(file.c_str());
        else
            partial_bytes += status.st_size;
    }
    bytes_ = bytes;
    partial_bytes_ = partial_bytes;
    prepared_ = true;
}

void BlobStore::note_use(const std::string& blob) {
    const auto path = path_of(blob);
    struct stat status {};
    if (::lstat(path.c_str(), &status) != 0) return;
    const auto age = age_seconds(status);
    // A time in the future comes from a clock that was wrong: it would keep the blob for ever.
    if (age >= 0 && age < std::chrono::seconds(limits::blob_touched).count()) return;
    ::utimensat(AT_FDCWD, path.c_str(), nullptr, AT_SYMLINK_NOFOLLOW);
}

std::vector<BlobStore::BlobInfo> BlobStore::list() {
    std::vector<BlobInfo> result;
    for (const auto& folder : entries_of(folder_)) {
        const auto first = folder.filename().native();
        if (first.size() != 2) continue;
        for (const auto& file : entries_of(folder)) {
            BlobInfo info;
            info.blob = first + file.filename().native();
            struct stat status {};
            if (!is_blob_name(info.blob) || ::lstat(file.c_str(), &status) != 0) continue;
            info.size = status.st_size;
            info.used_at = status.st_mtime;
            result.push_back(std::move(info));
        }
    }
    return result;
}

/// One that cannot be deleted stays: that must not keep others from making room.
void BlobStore::try_to_remove(const std::string& blob) {
    try {
        remove(blob);
    } catch (const FileError& error) {
        log_rarely(Severity::warning, "files", "delete", error.what());
    }
}

void BlobStore::hold(const std::string& blob, Instant now) {
    if (held_.size() < limits::blobs_held || held_.contains(blob))
        held_[blob] = now + limits::blob_held;
}

std::int64_t BlobStore::evict(std::int64_t max_bytes, const std::set<std::string>& pinned,
                              Instant now, Duration unused) {
    prepare();
    evict_partial(max_bytes);
    std::erase_if(
        held_, [&](const auto& held) { return held.second <= now || pinned.contains(held.first); });
    if (bytes_ <= max_bytes && unused == Duration::max()) return bytes_;
    const auto age_limit = std::chrono::duration_cast<std::chrono::seconds>(unused).count();
    const auto oldest = wall_seconds() - age_limit;
    auto blobs = list();
    std::sort(blobs.begin(), blobs.end(), [](const auto& a, const auto& b) {
        return std::tie(a.used_at, a.blob) < std::tie(b.used_at, b.blob);
    });
    for (const auto& info : blobs) {
        if (bytes_ <= max_bytes && info.used_at >= oldest) break;
        if (!pinned.contains(info.blob) && !held_.contains(info.blob)) try_to_remove(info.blob);
    }
    return bytes_;
}

void BlobStore::evict_partial(std::int64_t max_bytes) {
    if (!is_there()) return;
    struct Found {
        std::int64_t age = 0;
        std::int64_t size = 0;
        std::string blob;
    };
    std::vector<Found> found;
    std::int64_t sum = 0;
    for (const auto& file : entries_of(folder_ / "incoming")) {
        auto name = file.filename().native();
        struct stat status {};
        // Copies that are being made belong to their Intake.
        if (!is_blob_name(name) || ::lstat(file.c_str(), &status) != 0) continue;
        const auto age = age_seconds(status);
        // A time in the future comes from a clock that was wrong: it would never be old.
        if (age < 0) ::utimensat(AT_FDCWD, file.c_str(), nullptr, AT_SYMLINK_NOFOLLOW);
        sum += status.st_size;
        found.push_back({age, status.st_size, std::move(name)});
    }
    std::sort(found.begin(), found.end(),
              [](const auto& a, const auto& b) { return a.age > b.age; });
    for (const auto& partial : found) {
        const auto most_age = sum > max_bytes ? std::chrono::seconds(limits::partial_spared)
                                              : std::chrono::seconds(limits::partial_kept);
        if (partial.age <= most_age.count()) break;
        drop_partial(partial.blob);
        sum -= partial.size;
    }
}

/// Whoever only asks or deletes makes no folder.
bool BlobStore::is_there() {
    if (!prepared_ && ::access(folder_.c_str(), F_OK) != 0) return false;
    prepare();
    return true;
}

std::int64_t BlobStore::bytes() {
    return is_there() ? bytes_ + partial_bytes_ : 0;
}

std::int64_t BlobStore::partial_bytes() {
    return is_there() ? partial_bytes_ : 0;
}

}  // namespace rpic
