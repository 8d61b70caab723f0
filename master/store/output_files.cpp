#include "master/store/output_files.hpp"
#include "master/store/disk.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>

#include "common/limits.hpp"

namespace rpic {

namespace {

constexpr std::size_t gather_bytes = 256 * 1024;  // for one write

/// The number in "17.seg"; -1 for any other name.
std::int64_t segment_number(const std::string& name) {
    std::int64_t number = -1;
    const auto result = std::from_chars(name.data(), name.data() + name.size(), number);
    const std::string_view rest(result.ptr, name.data() + name.size());
    return result.ec == std::errc{} && rest == ".seg" ? number : -1;
}

}  // namespace

OutputFiles::Place OutputFiles::append(JobId job, const std::vector<std::string_view>& pieces) {
    auto& segment = segment_for(job);
    const Place place{segment.number, segment.size};
    auto end = segment.size;
    std::string gathered;
    const auto flush = [&] {
        std::string_view rest = gathered;
        while (!rest.empty()) {
            const auto count = ::pwrite(segment.file.get(), rest.data(), rest.size(), end);
            if (count < 0 && errno == EINTR) continue;
            if (count <= 0) return false;
            end += count;
            rest.remove_prefix(static_cast<std::size_t>(count));
        }
        gathered.clear();
        return true;
    };
    bool written = true;
    for (const auto piece : pieces) {
        gathered += piece;
        if (gathered.size() >= gather_bytes) written = written && flush();
        if (!written) break;
    }
    written = written && flush() && ::fdatasync(segment.file.get()) == 0;
    if (!written) {
        const int error = errno;
        // Best effort: what stays behind the size that we count is overwritten by the next one.
        if (::ftruncate(segment.file.get(), segment.size) != 0) open_.erase(job);
        errno = error;
        fail("write", folder_of(job));
    }
    segment.size = end;
    return place;
}

OutputFiles::Segment& OutputFiles::segment_for(JobId job) {
    auto known = open_.find(job);
    if (known != open_.end() && known->second.size < limits::output_segment_bytes)
        return known->second;
    Segment segment;
    if (known != open_.end()) {
        segment.number = known->second.number + 1;
        open_.erase(known);
    } else {
        segment.number = std::max<std::int64_t>(newest_segment(job), 0);
    }
    create(job, segment);
    if (segment.size >= limits::output_segment_bytes) {
        ++segment.number;
        create(job, segment);
    }
    // Descriptors are few; a job that goes on opens its file again.
    if (open_.size() >= limits::output_files_open) open_.clear();
    return open_.emplace(job, std::move(segment)).first->second;
}

/// Opens the segment's file, and makes it if it is not there.
void OutputFiles::create(JobId job, Segment& segment) {
    const auto folder = folder_of(job);
    const auto path = folder / (std::to_string(segment.number) + ".seg");
    segment.file = Descriptor(::open(path.c_str(), O_RDWR | O_CLOEXEC));
    if (!segment.file) {
        for (const auto& one : {folder_, folder}) {
            if (::mkdir(one.c_str(), 0700) == 0)
                sync_folder(one.parent_path());
            else if (errno != EEXIST)
                fail("make", one);
        }
        segment.file = Descriptor(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
        if (!segment.file) fail("make", path);
        sync_folder(folder);
    }
    struct stat status {};
    if (::fstat(segment.file.get(), &status) != 0) fail("read", path);
    segment.size = status.st_size;
}

std::int64_t OutputFiles::newest_segment(JobId job) const {
    std::int64_t newest = -1;
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(folder_of(job), error))
        newest = std::max(newest, segment_number(entry.path().filename().string()));
    return newest;
}

std::string OutputFiles::read(JobId job, std::int64_t segment, std::int64_t offset,
                              std::size_t size) const {
    const auto path = folder_of(job) / (std::to_string(segment) + ".seg");
    const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file) fail("read", path);
    std::string bytes(size, '\0');
    std::size_t done = 0;
    while (done < size) {
        const auto count = ::pread(file.get(), bytes.data() + done, size - done,
                                   offset + static_cast<std::int64_t>(done));
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) fail("read", path);
        if (count == 0) throw std::runtime_error("a part of " + path.string() + " is missing");
        done += static_cast<std::size_t>(count);
    }
    return bytes;
}

std::int64_t OutputFiles::size(JobId job) const {
    std::int64_t size = 0;
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(folder_of(job), error)) {
        const auto bytes = entry.file_size(error);
        if (!error) size += static_cast<std::int64_t>(bytes);
    }
    return size;
}

bool OutputFiles::remove_some(JobId job) {
    close(job);
    std::error_code error;
    const auto folder = folder_of(job);
    std::filesystem::directory_iterator entries(folder, error);
    if (error == std::errc::no_such_file_or_directory) return false;
    if (!error && entries != std::filesystem::directory_iterator{}) {
        const auto path = entries->path();
        std::filesystem::remove_all(path, error);
    } else {
        std::filesystem::remove_all(folder, error);
    }
    // What cannot be removed must not keep the store busy for ever.
    return !error;
}

}  // namespace rpic
