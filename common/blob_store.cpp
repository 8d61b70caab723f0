#include "common/blob_store.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "common/at_most.hpp"
#include "common/file_io.hpp"
#include "common/limits.hpp"
#include "common/text.hpp"

namespace rpic {

namespace {

void check_name(const std::string& blob) {
    if (!is_blob_name(blob))
        throw FileError("bad_request", "\"" + printable(blob, limits::log_text_chars) +
                                           "\" is no SHA-256 in lower-case hex");
}

void sync_folder(const std::filesystem::path& folder) {
    const Descriptor descriptor(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!descriptor || ::fsync(descriptor.get()) != 0) fail_file("write", folder.native());
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

void BlobStore::need_space(std::int64_t bytes, std::int64_t keep_free_bytes) {
    struct statvfs disk {};
    if (::statvfs(folder_.c_str(), &disk) != 0)
        fail_file("ask for the free space of", folder_.native());
    const auto free =
        static_cast<std::int64_t>(disk.f_bavail) * static_cast<std::int64_t>(disk.f_frsize);
    if (free - bytes >= keep_free_bytes) return;
    FileError error("full", "the disk of " + folder_.native() + " has " + format_size(free) +
                                " free: not enough for " + format_size(bytes) + " more, because " +
                                format_size(keep_free_bytes) +
                                " are to stay free; make room there");
    error.short_bytes = keep_free_bytes + bytes - free;
    throw error;
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
        drop_partial(blob);
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
void BlobStore::drop_partial(const std::string& blob) {
    check_name(blob);
    prepare();
    const auto open = std::find_if(partials_.begin(), partials_.end(),
                                   [&](const Partial& partial) { return partial.blob == blob; });
    if (open != partials_.end()) return drop_partial(open);
    const auto path = incoming(blob);
    struct stat status {};
    if (::lstat(path.c_str(), &status) == 0 && ::unlink(path.c_str()) == 0)
        partial_bytes_ -= status.st_size;
}

void BlobStore::drop_partials_except(const std::set<std::string>& needed) {
    prepare();
    std::vector<std::string> dropped;
    std::error_code error;
    std::filesystem::directory_iterator files(folder_ / "incoming", error);
    for (; !error && files != std::filesystem::directory_iterator(); files.increment(error)) {
        auto name = files->path().filename().native();
        if (is_blob_name(name) && !needed.contains(name)) dropped.push_back(std::move(name));
    }
    for (const auto& blob : dropped) drop_partial(blob);
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

// ----------------------------------------------------------------------------------- reading

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

}  // namespace rpic
