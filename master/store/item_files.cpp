#include "master/store/item_files.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <stdexcept>

#include "common/limits.hpp"

namespace rpic {

namespace {

constexpr Position items_per_mark = 1024;
constexpr std::size_t files_open = 16;  // beyond these, the one not used for longest is closed
constexpr std::size_t window_bytes = 64 * 1024;
constexpr std::size_t count_bytes = 1024 * 1024;  // in one go
static_assert(limits::item_bytes < window_bytes);

/// Up to `size` bytes; fewer only at the end of the file.
std::string read_at(int file, std::int64_t offset, std::size_t size) {
    std::string bytes(size, '\0');
    std::size_t done = 0;
    while (done < size) {
        const auto count = ::pread(file, bytes.data() + done, size - done,
                                   offset + static_cast<std::int64_t>(done));
        if (count < 0 && errno == EINTR) continue;
        if (count < 0)
            throw std::runtime_error(std::string("the items cannot be read: ") +
                                     std::strerror(errno));
        if (count == 0) break;
        done += static_cast<std::size_t>(count);
    }
    bytes.resize(done);
    return bytes;
}

Descriptor open_blob(const std::filesystem::path& path) {
    Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file)
        throw std::runtime_error("the blob of the items is not there (" +
                                 std::string(std::strerror(errno)) + ")");
    return file;
}

}  // namespace

Item ItemFiles::read(const ItemRequest& request) {
    Item item;
    try {
        if (request.position < 0 || request.position >= limits::tasks_per_job)
            throw std::runtime_error("there is no such item");
        auto& file = open(request.blob);
        go_to(file, request.position);
        item.text = take(file, true);
    } catch (const std::exception& error) {
        item.failure = error.what();
    }
    return item;
}

ItemFiles::File& ItemFiles::open(const std::string& blob) {
    const auto known = std::find_if(files_.begin(), files_.end(),
                                    [&](const File& file) { return file.blob == blob; });
    if (known != files_.end()) {
        files_.splice(files_.begin(), files_, known);
        return files_.front();
    }
    File file;
    file.blob = blob;
    file.file = open_blob(path_(blob));
    file.marks = {0};
    files_.push_front(std::move(file));
    if (files_.size() > files_open) files_.pop_back();
    return files_.front();
}

/// Makes the item at this position the next one to be taken.
void ItemFiles::go_to(File& file, Position position) {
    const auto mark = static_cast<std::size_t>(position / items_per_mark);
    const auto near = std::min(mark, file.marks.size() - 1);
    const auto near_position = static_cast<Position>(near) * items_per_mark;
    if (file.position > position || file.position < near_position) {
        file.position = near_position;
        file.offset = file.marks[near];
    }
    while (file.position < position) take(file, false);
}

std::string ItemFiles::take(File& file, bool wanted) {
    for (bool fresh = false;; fresh = true) {
        const auto start = file.offset - file.window_offset;
        std::string_view rest;
        if (start >= 0 && start < static_cast<std::int64_t>(file.window.size()))
            rest = std::string_view(file.window).substr(static_cast<std::size_t>(start));
        const auto end = rest.find('\0');
        if (end != rest.npos) {
            ++file.position;
            file.offset += static_cast<std::int64_t>(end) + 1;
            if (file.position == static_cast<Position>(file.marks.size()) * items_per_mark)
                file.marks.push_back(file.offset);
            return wanted ? std::string(rest.substr(0, end)) : std::string{};
        }
        if (fresh)
            throw std::runtime_error(rest.empty() ? "there is no such item"
                                                  : "an item is too long, or its end is missing");
        file.window_offset = file.offset;
        file.window = read_at(file.file.get(), file.offset, window_bytes);
    }
}

bool ItemFiles::count_some(const std::string& blob, Counting& counting) const {
    auto& count = counting.count;
    try {
        const auto file = open_blob(path_(blob));
        const auto bytes = read_at(file.get(), counting.offset, count_bytes);
        counting.offset += static_cast<std::int64_t>(bytes.size());
        for (std::string_view rest = bytes; !rest.empty();) {
            const auto end = std::min(rest.find('\0'), rest.size());
            counting.item_bytes += static_cast<std::int64_t>(end);
            const bool ended = end < rest.size();
            if (counting.item_bytes > static_cast<std::int64_t>(limits::item_bytes))
                count.failure = "item " + std::to_string(count.count) + " is longer than " +
                                std::to_string(limits::item_bytes) + " bytes";
            else if (ended && ++count.count > limits::tasks_per_job)
                count.failure =
                    "there are more than " + std::to_string(limits::tasks_per_job) + " items";
            if (!count.failure.empty()) return false;
            if (ended) counting.item_bytes = 0;
            rest.remove_prefix(ended ? end + 1 : end);
        }
        if (bytes.size() == count_bytes) return true;
        if (counting.item_bytes > 0) count.failure = "the last item is not ended by a NUL";
    } catch (const std::exception& error) {
        count.failure = error.what();
    }
    return false;
}

}  // namespace rpic
