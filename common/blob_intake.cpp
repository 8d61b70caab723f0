#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/blob_store.hpp"
#include "common/file_io.hpp"
#include "common/limits.hpp"

/// How files of this machine become blobs.
namespace rpic {

std::filesystem::path BlobStore::next_copy() {
    return incoming(std::string(copy_prefix) + std::to_string(++copies_));
}

std::string BlobStore::put_bytes(std::string_view bytes) {
    prepare();
    const auto blob = sha256_hex(bytes);
    if (has(blob)) return blob;
    const auto size = static_cast<std::int64_t>(bytes.size());
    need_space(size, keep_free_bytes_);
    const auto path = next_copy();
    const Descriptor file(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (!file) fail_file("write", path.native());
    partial_bytes_ += size;
    try {
        write_at(file, 0, bytes, path.native());
        adopt(file, path, blob, size);
    } catch (const FileError&) {
        partial_bytes_ -= size;
        ::unlink(path.c_str());
        throw;
    }
    return blob;
}

void BlobStore::take(const std::filesystem::path& file, const std::string& blob) {
    prepare();
    const Descriptor opened(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
    struct stat status {};
    if (!opened || ::fstat(opened.get(), &status) != 0) fail_file("read", file.native());
    partial_bytes_ += status.st_size;
    try {
        adopt(opened, file, blob, status.st_size);
    } catch (const FileError&) {
        partial_bytes_ -= status.st_size;
        throw;
    }
}

BlobStore::Intake::Intake(BlobStore& store, Descriptor source)
    : store_(store), source_(std::move(source)) {
    store_.prepare();
    path_ = store_.next_copy();
    target_ = Descriptor(::open(path_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (!target_) fail_file("write", path_.native());
    // Where the file system can share the bytes, this is also a picture that does not change.
    shared_ = share_bytes(source_, target_);
}

BlobStore::Intake::Intake(Intake&& other) noexcept
    : store_(other.store_),
      source_(std::move(other.source_)),
      target_(std::move(other.target_)),
      path_(std::move(other.path_)),
      shared_(other.shared_),
      hash_(std::move(other.hash_)),
      size_(other.size_),
      blob_(std::move(other.blob_)) {}

BlobStore::Intake::~Intake() {
    if (!target_ || !blob_.empty()) return;
    ::unlink(path_.c_str());
    store_.partial_bytes_ -= size_;
}

bool BlobStore::Intake::step() {
    if (!blob_.empty()) return true;
    store_.need_space(static_cast<std::int64_t>(limits::file_step_bytes), store_.keep_free_bytes_);
    const auto& from = shared_ ? target_ : source_;
    for (std::size_t done = 0; done < limits::file_step_bytes; done += file_read_bytes) {
        const auto bytes = read_at(from, size_, file_read_bytes, path_.native());
        const auto count = static_cast<std::int64_t>(bytes.size());
        if (!shared_) write_at(target_, size_, bytes, path_.native());
        store_.partial_bytes_ += count;
        hash_.update(bytes);
        size_ += count;
        if (bytes.size() == file_read_bytes) continue;
        auto blob = hash_.finish();
        store_.adopt(target_, path_, blob, size_);
        blob_ = std::move(blob);
        return true;
    }
    return false;
}

}  // namespace rpic
