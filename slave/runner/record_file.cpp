#include "slave/runner/record_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <boost/crc.hpp>
#include <cerrno>
#include <cstring>

#include "common/errors.hpp"
#include "common/limits.hpp"

namespace rpic {

namespace {

struct Header {
    std::uint32_t size = 0;
    std::uint32_t checksum = 0;
};

/// The length is part of what is checked: zeros, which a power cut may leave, are no record.
std::uint32_t checksum_of(std::string_view record) {
    boost::crc_32_type sum;
    const auto size = static_cast<std::uint32_t>(record.size()) + 1;
    sum.process_bytes(&size, sizeof size);
    sum.process_bytes(record.data(), record.size());
    return sum.checksum();
}

/// False at the end of the file, with errno 0, and if it cannot be read.
bool read_at(int file, char* data, std::size_t size, std::int64_t offset) {
    errno = 0;
    while (size > 0) {
        const auto count = ::pread(file, data, size, offset);
        if (count < 0 && errno == EINTR) continue;
        if (count == 0) errno = 0;
        if (count <= 0) return false;
        data += count;
        size -= static_cast<std::size_t>(count);
        offset += count;
    }
    return true;
}

int open_file(const std::filesystem::path& path, int flags) {
    return ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | flags, 0600);
}

/// Appends one record to a file that is `size` bytes long; false if not all of it was written.
bool write_record(int file, std::string_view record, std::int64_t size) {
    Header header{static_cast<std::uint32_t>(record.size()), checksum_of(record)};
    iovec parts[] = {{&header, sizeof header}, {const_cast<char*>(record.data()), record.size()}};
    const auto total = static_cast<ssize_t>(sizeof header + record.size());
    return ::pwritev(file, parts, 2, size) == total;
}

}  // namespace

RecordFile::RecordFile(std::filesystem::path path, const Reader& each)
    : path_(std::move(path)), descriptor_(open_file(path_, 0)) {
    if (descriptor_ < 0)
        throw ConfigError("cannot use " + path_.string() + ": " + std::strerror(errno));
    read_all(each);
    if (::ftruncate(descriptor_, size_) != 0)
        throw ConfigError("cannot repair " + path_.string() + ": " + std::strerror(errno));
}

void RecordFile::read_all(const Reader& each) {
    const auto read = [this](char* data, std::size_t size, std::int64_t offset) {
        if (read_at(descriptor_, data, size, offset)) return true;
        // What is behind a place that the disk does not give may be good.
        if (errno != 0)
            throw ConfigError("cannot read " + path_.string() + ": " + std::strerror(errno) +
                              "; if the disk does not recover, remove the file: tasks that it "
                              "tells of run again");
        return false;
    };
    std::string record;
    for (;;) {
        Header header;
        const auto place = size_ + static_cast<std::int64_t>(sizeof header);
        if (!read(reinterpret_cast<char*>(&header), sizeof header, size_)) break;
        if (header.size > limits::spool_record_bytes) break;
        record.resize(header.size);
        if (!read(record.data(), record.size(), place)) break;
        if (checksum_of(record) != header.checksum) break;
        each(record, place);
        size_ = place + header.size;
    }
}

RecordFile::~RecordFile() {
    if (descriptor_ >= 0) ::close(descriptor_);
}

std::int64_t RecordFile::append(std::string_view record) {
    if (record.size() > limits::spool_record_bytes) return errno = EMSGSIZE, -1;
    if (!write_record(descriptor_, record, size_)) {
        const int error = errno == 0 ? ENOSPC : errno;
        // A part of it would hide what is appended later.
        if (::ftruncate(descriptor_, size_) == 0) errno = error;
        return -1;
    }
    const auto place = size_ + static_cast<std::int64_t>(sizeof(Header));
    size_ = place + static_cast<std::int64_t>(record.size());
    return place;
}

std::string RecordFile::read(std::int64_t offset, std::size_t size) const {
    std::string bytes(size, '\0');
    if (!read_at(descriptor_, bytes.data(), size, offset)) bytes.clear();
    return bytes;
}

void RecordFile::clear() {
    if (size_ > 0 && ::ftruncate(descriptor_, 0) == 0) size_ = 0;
}

std::vector<std::int64_t> RecordFile::rewrite(const std::vector<std::string>& records) {
    auto temporary = path_;
    temporary += ".new";
    ::unlink(temporary.c_str());
    const int file = open_file(temporary, O_EXCL);
    std::vector<std::int64_t> places;
    std::int64_t size = 0;
    bool good = file >= 0;
    for (const auto& record : records) {
        if (!good) break;
        good = write_record(file, record, size);
        places.push_back(size + static_cast<std::int64_t>(sizeof(Header)));
        size = places.back() + static_cast<std::int64_t>(record.size());
    }
    good = good && ::rename(temporary.c_str(), path_.c_str()) == 0;
    if (!good) {
        if (file >= 0) ::close(file);
        ::unlink(temporary.c_str());
        return {};
    }
    ::close(descriptor_);
    descriptor_ = file;
    size_ = size;
    return places;
}

}  // namespace rpic
