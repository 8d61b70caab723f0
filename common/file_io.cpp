#include "common/file_io.hpp"

#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "common/file_error.hpp"

namespace rpic {

std::string read_at(const Descriptor& file, std::int64_t offset, std::size_t size,
                    std::string_view path) {
    std::string bytes(size, '\0');
    std::size_t done = 0;
    while (done < size) {
        const auto count = ::pread(file.get(), bytes.data() + done, size - done,
                                   offset + static_cast<std::int64_t>(done));
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) fail_file("read", path);
        if (count == 0) break;
        done += static_cast<std::size_t>(count);
    }
    bytes.resize(done);
    return bytes;
}

void write_at(const Descriptor& file, std::int64_t offset, std::string_view bytes,
              std::string_view path) {
    while (!bytes.empty()) {
        const auto count = ::pwrite(file.get(), bytes.data(), bytes.size(), offset);
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) fail_file("write", path);
        bytes.remove_prefix(static_cast<std::size_t>(count));
        offset += count;
    }
}

bool share_bytes(const Descriptor& source, const Descriptor& target) {
    return ::ioctl(target.get(), FICLONE, source.get()) == 0;
}

std::int64_t copy_part(const Descriptor& source, const Descriptor& target, std::int64_t offset,
                       std::size_t size, std::string_view path) {
    off_t from = offset;
    off_t to = offset;
    const auto count = ::copy_file_range(source.get(), &from, target.get(), &to, size, 0);
    if (count >= 0) return count;
    // Two file systems, or a kernel that cannot do it between these.
    const bool other_way = errno == EXDEV || errno == EINVAL || errno == ENOSYS ||
                           errno == EOPNOTSUPP || errno == EPERM || errno == EINTR;
    if (!other_way) fail_file("write", path);
    const auto bytes = read_at(source, offset, std::min(size, file_read_bytes), path);
    write_at(target, offset, bytes, path);
    return static_cast<std::int64_t>(bytes.size());
}

}  // namespace rpic
