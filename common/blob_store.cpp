#include "common/blob_store.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <tuple>

#include "common/at_most.hpp"
#include "common/clock.hpp"
#include "common/file_io.hpp"
#include "common/limits.hpp"
#include "common/log.hpp"
#include "common/text.hpp"

namespace rpic {

namespace {

void check_name(const std::string& blob) {
    if (!is_blob_name(blob))
        throw FileError("bad_request", "\"" + printable(blob, limits::log_text_chars) +
                                           "\" is no SHA-256 in lower-case hex");
}

void make_folder(const std::filesystem::path& folder) {
    if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST)
        fail_file("make the folder", folder.native());
}

void sync_folder(const std::filesystem::path& folder) {
    const Descriptor descriptor(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!descriptor || ::fsync(descriptor.get()) != 0) fail_file("write", folder.native());
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

FileError unknown(const std::string& blob) {
    return FileError("not_found", "there is no file with the SHA-256 " + blob + " here");
}

}  // namespace

BlobStore::BlobStore(std::filesystem::path folder, std::int64_t keep_free_bytes)
    : folder_(std::move(folder)), keep_free_bytes_(keep_free_bytes) {}

std::filesystem::path BlobStore::path_of(const std::string& blob) const {
    return folder_ / blob.substr(0, 2) / blob.substr(2);
}

std::filesystem::path BlobStore::incoming(const std::string& name) const {
    return folder_ / "incoming" / name;
}

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

std::int64_t BlobStore::stored_size(const std::string& blob) {
    struct stat status {};
    if (::lstat(path_of(blob).c_str(), &status) == 0) return status.st_size;
    if (errno != ENOENT) fail_file("look at", path_of(blob).native());
    return -1;
}

bool BlobStore::has(const std::string& blob) {
    check_name(blob);
    prepare();
    if (stored_size(blob) < 0) return false;
    note_use(blob);
    return true;
}

std::vector<std::string> BlobStore::missing(const std::vector<std::string>& blobs) {
    std::vector<std::string> result;
    for (const auto& blob : blobs)
        if (!has(blob)) result.push_back(blob);
    return result;
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

void BlobStore::need_space(std::int64_t bytes, std::int64_t keep_free_bytes) {
    struct statvfs disk {};
    if (::statvfs(folder_.c_str(), &disk) != 0)
        fail_file("ask for the free space of", folder_.native());
    const auto free =
        static_cast<std::int64_t>(disk.f_bavail) * static_cast<std::int64_t>(disk.f_frsize);
    if (free - bytes >= keep_free_bytes) return;
    throw FileError("full", "the disk of " + folder_.native() + " has " + format_size(free) +
                                " free: not enough for " + format_size(bytes) + " more, because " +
                                format_size(keep_free_bytes) +
                                " are to stay free; make room there");
}

// ------------------------------------------------------------------------------------- parts

BlobStore::Partials::iterator BlobStore::find_partial(const std::string& blob, std::int64_t size) {
    auto found = std::find_if(partials_.begin(), partials_.end(),
                              [&](const Partial& partial) { return partial.blob == blob; });
    if (found == partials_.end()) {
        if (::access(incoming(blob).c_str(), F_OK) != 0) return found;
        found = start_partial(blob, size, false, keep_free_bytes_);
    }
    if (found->size != size) {
        drop_partial(found);
        return partials_.end();
    }
    partials_.splice(partials_.begin(), partials_, found);
    return found;
}

BlobStore::Partials::iterator BlobStore::start_partial(const std::string& blob, std::int64_t size,
                                                       bool anew, std::int64_t keep_free_bytes) {
    const auto path = incoming(blob);
    if (anew) {
        drop_incoming(blob);
        need_space(size, keep_free_bytes);
    }
    Partial partial;
    partial.blob = blob;
    partial.size = size;
    const int mode = O_RDWR | O_CLOEXEC | O_NOFOLLOW | (anew ? O_CREAT | O_EXCL : 0);
    partial.file = Descriptor(::open(path.c_str(), mode, 0600));
    if (!partial.file) fail_file("write", path.native());
    if (!anew) read_again(partial);
    partials_.push_front(std::move(partial));
    if (partials_.size() > limits::partial_blobs) partials_.pop_back();
    return partials_.begin();
}

/// The hash of what an earlier run has left. What is too much to read now is sent again.
void BlobStore::read_again(Partial& partial) {
    const auto path = incoming(partial.blob);
    const auto deadline = Clock::now() + limits::rehash_time;
    struct stat status {};
    if (::fstat(partial.file.get(), &status) != 0) fail_file("read", path.native());
    const std::int64_t end = std::min<std::int64_t>(status.st_size, partial.size);
    while (partial.received < end && Clock::now() < deadline) {
        const auto count = at_most(end - partial.received, file_read_bytes);
        const auto bytes = read_at(partial.file, partial.received, count, path.native());
        if (bytes.empty()) break;
        partial.hash.update(bytes);
        partial.received += static_cast<std::int64_t>(bytes.size());
    }
    if (::ftruncate(partial.file.get(), partial.received) != 0) fail_file("write", path.native());
    partial_bytes_ -= status.st_size - partial.received;
}

void BlobStore::drop_partial(Partials::iterator partial) {
    partial_bytes_ -= partial->received;
    ::unlink(incoming(partial->blob).c_str());
    partials_.erase(partial);
}

/// What there is so far of a blob, if anything, whether it is open or not.
void BlobStore::drop_incoming(const std::string& blob) {
    const auto open = std::find_if(partials_.begin(), partials_.end(),
                                   [&](const Partial& partial) { return partial.blob == blob; });
    if (open != partials_.end()) return drop_partial(open);
    const auto path = incoming(blob);
    struct stat status {};
    if (::lstat(path.c_str(), &status) == 0 && ::unlink(path.c_str()) == 0)
        partial_bytes_ -= status.st_size;
}

std::int64_t BlobStore::put_chunk(const std::string& blob, std::int64_t size, std::int64_t offset,
                                  std::string_view bytes,
                                  std::optional<std::int64_t> keep_free_bytes) {
    check_name(blob);
    prepare();
    const auto keep_free = keep_free_bytes.value_or(keep_free_bytes_);
    const auto count = static_cast<std::int64_t>(bytes.size());
    if (size < 0 || size > limits::blob_bytes)
        throw FileError("bad_request", "a file has at most " + format_size(limits::blob_bytes));
    if (offset < 0 || offset > size || count > size - offset || bytes.size() > limits::chunk_bytes)
        throw FileError("bad_request", "a part that lies beyond the end of its file");
    const auto stored = stored_size(blob);
    if (stored >= 0 && stored != size)
        throw FileError("bad_request", blob + " has another size than was announced");
    if (stored >= 0) {
        note_use(blob);
        return stored;
    }
    const bool anew = offset == 0 && (count > 0 || size == 0);
    if (!anew) {
        const auto here = received(blob, size);
        if (count == 0 || offset != here) return here;
    }
    const auto partial =
        anew ? start_partial(blob, size, true, keep_free) : find_partial(blob, size);
    need_space(count, keep_free);
    write_at(partial->file, offset, bytes, incoming(blob).native());
    partial->hash.update(bytes);
    partial->received += count;
    partial_bytes_ += count;
    // Written to the disk while it comes, so that the end need not wait for all of it.
    const auto step = static_cast<std::int64_t>(limits::file_step_bytes);
    if (partial->received / step != offset / step)
        ::sync_file_range(partial->file.get(), 0, 0, SYNC_FILE_RANGE_WRITE);
    const auto end = partial->received;
    if (end < size) return end;
    const auto hash = finish(partial);
    if (hash != blob)
        throw FileError("conflict", "what came has the SHA-256 " + hash + ", not " + blob +
                                        " as announced: the file changed while it was sent");
    return end;
}

std::int64_t BlobStore::received(const std::string& blob, std::int64_t size) {
    check_name(blob);
    prepare();
    const auto stored = stored_size(blob);
    if (stored >= 0) return stored;
    const auto partial = find_partial(blob, size);
    if (partial == partials_.end()) return 0;
    const auto here = partial->received;
    if (here < size) return here;
    return finish(partial) == blob ? here : 0;
}

/// Makes what is whole a blob if it has the hash that was announced; gives the hash that it has. In
/// all other cases it is thrown away: what the disk did not take for good is not to be built upon.
std::string BlobStore::finish(Partials::iterator partial) {
    auto hash = partial->hash.finish();
    if (hash != partial->blob) {
        drop_partial(partial);
        return hash;
    }
    try {
        adopt(partial->file, incoming(partial->blob), partial->blob, partial->size);
    } catch (const FileError&) {
        drop_partial(partial);
        throw;
    }
    partials_.erase(partial);
    return hash;
}

/// Makes a whole file, which counted as partial, a blob: on the disk first, then under its name.
void BlobStore::adopt(const Descriptor& file, const std::filesystem::path& path,
                      const std::string& blob, std::int64_t size) {
    const auto target = path_of(blob);
    if (stored_size(blob) >= 0) {
        ::unlink(path.c_str());
        partial_bytes_ -= size;
        return note_use(blob);
    }
    if (::fchmod(file.get(), 0400) != 0 || ::fsync(file.get()) != 0)
        fail_file("write", path.native());
    const auto parent = target.parent_path();
    const bool made = ::mkdir(parent.c_str(), 0700) == 0;
    if (!made && errno != EEXIST) fail_file("make the folder", parent.native());
    if (::rename(path.c_str(), target.c_str()) != 0) fail_file("write", target.native());
    try {
        sync_folder(parent);
        if (made) sync_folder(folder_);
    } catch (const FileError&) {
        // A power cut could take its name: then it is not here now, either.
        ::unlink(target.c_str());
        throw;
    }
    partial_bytes_ -= size;
    bytes_ += size;
}

// --------------------------------------------------------------------------- reading and keeping

BlobStore::Piece BlobStore::get_chunk(const std::string& blob, std::int64_t offset) {
    check_name(blob);
    if (reading_ != blob) {
        reading_.clear();
        reading_file_ = open(blob);
        reading_ = blob;
    }
    struct stat status {};
    if (::fstat(reading_file_.get(), &status) != 0) fail_file("read", path_of(blob).native());
    if (offset < 0 || offset > status.st_size)
        throw FileError("bad_request", "a part that lies beyond the end of its file");
    Piece piece;
    piece.size = status.st_size;
    const auto count = at_most(piece.size - offset, limits::chunk_bytes);
    piece.bytes = read_at(reading_file_, offset, count, path_of(blob).native());
    if (offset + static_cast<std::int64_t>(piece.bytes.size()) == piece.size) {
        reading_.clear();
        reading_file_.reset();
    }
    return piece;
}

Descriptor BlobStore::open_stored(const std::string& blob) {
    check_name(blob);
    prepare();
    Descriptor file(::open(path_of(blob).c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
    if (!file && errno == ENOENT) throw unknown(blob);
    if (!file) fail_file("read", path_of(blob).native());
    return file;
}

Descriptor BlobStore::open(const std::string& blob) {
    auto file = open_stored(blob);
    note_use(blob);
    return file;
}

std::string BlobStore::read(const std::string& blob, std::size_t max_bytes, Use use) {
    const auto file = use == Use::noted ? open(blob) : open_stored(blob);
    const auto size = stored_size(blob);
    if (size > static_cast<std::int64_t>(max_bytes))
        throw FileError("bad_request", blob + " is larger than " +
                                           format_size(static_cast<std::int64_t>(max_bytes)));
    return read_at(file, 0, static_cast<std::size_t>(size), path_of(blob).native());
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

void BlobStore::remove(const std::string& blob) {
    check_name(blob);
    prepare();
    const auto size = stored_size(blob);
    if (size < 0) return;
    if (::unlink(path_of(blob).c_str()) != 0) fail_file("delete", path_of(blob).native());
    bytes_ -= size;
    if (reading_ != blob) return;
    reading_.clear();
    reading_file_.reset();
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
        drop_incoming(partial.blob);
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
