#include "common/machine/file_tree.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

#include "common/limits.hpp"

namespace rpic {

FileTree::FileTree(const std::filesystem::path& root) : root_(root.lexically_normal().string()) {
    if (!root_.ends_with('/')) root_ += '/';
}

std::string FileTree::full(std::string_view path) const {
    path.remove_prefix(std::min(path.find_first_not_of('/'), path.size()));
    return root_ + std::string(path);
}

std::string FileTree::text(std::string_view path) const {
    // Non-blocking, so that a pipe in the place of a file cannot hold up the loop.
    const int file = ::open(full(path).c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (file < 0) return {};
    std::string text;
    char buffer[4096];
    while (text.size() < limits::machine_file_bytes) {
        const auto wanted = std::min(sizeof buffer, limits::machine_file_bytes - text.size());
        const auto got = ::read(file, buffer, wanted);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) break;
        text.append(buffer, static_cast<std::size_t>(got));
    }
    ::close(file);
    return text;
}

std::vector<std::string> FileTree::entries(std::string_view directory) const {
    std::vector<std::string> names;
    std::error_code error;
    std::filesystem::directory_iterator entry(full(directory), error);
    while (!error && entry != std::filesystem::directory_iterator() &&
           names.size() < limits::machine_entries) {
        names.push_back(entry->path().filename().string());
        entry.increment(error);
    }
    std::sort(names.begin(), names.end());
    return names;
}

bool FileTree::has_directory(std::string_view path) const {
    std::error_code error;
    return std::filesystem::is_directory(full(path), error);
}

}  // namespace rpic
