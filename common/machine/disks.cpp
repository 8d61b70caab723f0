#include "common/machine/disks.hpp"

#include <algorithm>
#include <string_view>

#include "common/limits.hpp"
#include "common/machine/kernel_text.hpp"

namespace rpic {

namespace {

/// File systems that live on cards and disks, and that the kernel makes read-only after errors.
constexpr std::string_view disk_types[] = {"ext2", "ext3", "ext4", "f2fs", "btrfs", "xfs", "vfat"};

/// What /proc/self/mountinfo (proc(5)) says about the mount that shows a path.
struct ShownMount {
    std::size_t depth = 0;  // bytes of its mount point; 0: none was found
    bool on_disk = false;
    bool read_only = false;
};

bool shows(std::string_view point, std::string_view path) {
    if (point == "/") return true;
    return path.starts_with(point) && (path.size() == point.size() || path[point.size()] == '/');
}

/// Of several mounts that show a path the deepest one counts, and of those the last.
void consider(ShownMount& best, std::string_view line, std::string_view path) {
    for (int skipped = 0; skipped < 4; ++skipped) take_word(line);
    const auto point = take_word(line);
    if (point.size() < best.depth || !shows(point, path)) return;
    auto word = take_word(line);  // options of the mount, then optional fields up to a dash
    while (!word.empty() && word != "-") word = take_word(line);
    const auto type = take_word(line);
    take_word(line);  // source
    const auto options = take_word(line);
    best.depth = point.size();
    best.on_disk =
        std::find(std::begin(disk_types), std::end(disk_types), type) != std::end(disk_types);
    best.read_only = options == "ro" || options.starts_with("ro,");
}

std::optional<bool> read_only_disk(const FileTree& tree, const std::string& folder) {
    const auto mountinfo = tree.text("proc/self/mountinfo");
    ShownMount root;
    ShownMount state;
    std::string_view rest = mountinfo;
    while (!rest.empty()) {
        const auto line = take_line(rest);
        consider(root, line, "/");
        consider(state, line, folder);
    }
    if (!root.on_disk && !state.on_disk) return std::nullopt;
    return (root.on_disk && root.read_only) || (state.on_disk && state.read_only);
}

std::optional<std::int64_t> ext4_errors(const FileTree& tree) {
    std::optional<std::int64_t> sum;
    for (const auto& disk : tree.entries("sys/fs/ext4")) {
        const auto count =
            to_number<std::int64_t>(tree.text("sys/fs/ext4/" + disk + "/errors_count"));
        if (count && *count >= 0 && *count <= 4'294'967'295) sum = sum.value_or(0) + *count;
    }
    return sum;
}

}  // namespace

Disks::Reading Disks::read(const FileTree& tree, const MachineCalls& calls, Instant now) {
    if (!looked_ || now - *looked_ >= limits::disk_look_interval) {
        looked_ = now;
        look(tree);
    }
    Reading reading;
    reading.read_only = read_only_;
    reading.errors = errors_;
    if (!calls.disk_space) return reading;
    if (const auto space = calls.disk_space(folder_)) {
        reading.bytes = space->bytes;
        reading.free_bytes = space->free_bytes;
    }
    return reading;
}

void Disks::look(const FileTree& tree) {
    read_only_ = read_only_disk(tree, folder_);
    errors_ = ext4_errors(tree);
}

}  // namespace rpic
