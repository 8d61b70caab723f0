#include "slave/runner/captured_output.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "common/at_most.hpp"
#include "common/limits.hpp"
#include "common/text.hpp"

namespace rpic {

namespace {

std::string read_from(int file, std::int64_t offset, std::size_t max_bytes) {
    std::string bytes(max_bytes, '\0');
    std::size_t size = 0;
    while (size < max_bytes) {
        const auto count = ::pread(file, bytes.data() + size, max_bytes - size,
                                   offset + static_cast<std::int64_t>(size));
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) break;
        size += static_cast<std::size_t>(count);
    }
    bytes.resize(size);
    return bytes;
}

/// The note at the end has room beyond the limit for what the task itself prints.
constexpr std::size_t note_bytes = 512;

}  // namespace

CapturedOutput::~CapturedOutput() {
    if (file_ >= 0) ::close(file_);
}

/// Takes a record whole or not at all.
bool CapturedOutput::keep(std::string_view record) {
    const auto size = size_ + static_cast<std::int64_t>(record.size());
    const bool fits = size <= static_cast<std::int64_t>(limits::inline_output_bytes);
    if (file_ < 0 && fits) {
        memory_ += record;
        size_ = size;
        return true;
    }
    std::string bytes;
    if (file_ < 0) {
        ::unlink(path_.c_str());
        file_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (file_ < 0) return false;
        bytes = memory_;
    }
    bytes += record;
    const auto begin = memory_.empty() ? size_ : 0;
    const auto written = ::pwrite(file_, bytes.data(), bytes.size(), begin);
    if (written == static_cast<ssize_t>(bytes.size())) {
        std::string().swap(memory_);
        size_ += static_cast<std::int64_t>(record.size());
        return true;
    }
    if (written >= 0) errno = ENOSPC;
    const int error = errno;
    if (!memory_.empty()) {
        // It stays in memory, where it still fits.
        ::close(file_);
        file_ = -1;
        ::unlink(path_.c_str());
    } else if (::ftruncate(file_, size_) != 0) {
        error_ = error;
    }
    errno = error;
    return false;
}

void CapturedOutput::append(OutputStream stream, std::string_view bytes) {
    const auto more = static_cast<std::int64_t>(bytes.size());
    // After the first gap nothing is kept: what follows would look as if it belonged there.
    if (dropped_ > 0) {
        dropped_ += more;
        return;
    }
    std::string record;
    const auto room = static_cast<std::int64_t>(limits::output_bytes - note_bytes) - size_ -
                      static_cast<std::int64_t>(output_header_bytes);
    const auto kept = std::clamp<std::int64_t>(room, 0, more);
    dropped_ = more - kept;
    if (kept == 0) return;
    append_output(record, stream, bytes.substr(0, static_cast<std::size_t>(kept)));
    errno = 0;
    if (keep(record)) return;
    error_ = errno;
    dropped_ = more;
}

void CapturedOutput::finish() {
    if (dropped_ == 0) return;
    std::string note = "rpicluster: " + format_size(dropped_) + " of output were dropped: ";
    if (error_ == 0)
        note += "an attempt may print " + format_size(limits::output_bytes);
    else
        note += std::string("the node could not keep them (") + std::strerror(error_) + ")";
    note += '\n';
    std::string record;
    append_output(record, OutputStream::note, note);
    // On a full disk the note may still fit into memory.
    if (!keep(record) && file_ < 0) {
        memory_ += record;
        size_ += static_cast<std::int64_t>(record.size());
    }
    dropped_ = 0;
}

std::string CapturedOutput::read(std::int64_t offset, std::size_t max_bytes) const {
    if (offset < 0 || offset >= size_) return {};
    const auto size = at_most(size_ - offset, max_bytes);
    if (file_ >= 0) return read_from(file_, offset, size);
    return memory_.substr(static_cast<std::size_t>(offset), size);
}

std::string read_output_file(const std::filesystem::path& path, std::int64_t offset,
                             std::size_t max_bytes) {
    const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (file < 0 || offset < 0) return {};
    auto bytes = read_from(file, offset, max_bytes);
    ::close(file);
    return bytes;
}

}  // namespace rpic
