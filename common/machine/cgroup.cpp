#include "common/machine/cgroup.hpp"

#include <algorithm>
#include <limits>

#include "common/limits.hpp"
#include "common/machine/kernel_text.hpp"

namespace rpic {

namespace {

using Parts = std::vector<std::string_view>;

/// A mounted hierarchy of control groups, from a line of /proc/self/mountinfo.
struct Mount {
    std::string root;  // the group that the mount point shows
    std::string point;
    std::string options;
    bool unified = false;
};

bool has_word(std::string_view list, std::string_view word) {
    while (!list.empty()) {
        const auto end = list.find(',');
        if (list.substr(0, end) == word) return true;
        list.remove_prefix(end == std::string_view::npos ? list.size() : end + 1);
    }
    return false;
}

/// Mount tables write blanks and backslashes as a backslash and three octal digits.
std::string unescape(std::string_view text) {
    const auto octal = [](char c) { return c >= '0' && c <= '7'; };
    std::string plain;
    for (std::size_t at = 0; at < text.size(); ++at) {
        if (text[at] == '\\' && at + 3 < text.size() && octal(text[at + 1]) &&
            octal(text[at + 2]) && octal(text[at + 3])) {
            const int code =
                (text[at + 1] - '0') * 64 + (text[at + 2] - '0') * 8 + (text[at + 3] - '0');
            plain += static_cast<char>(code);
            at += 3;
        } else {
            plain += text[at];
        }
    }
    return plain;
}

std::vector<Mount> cgroup_mounts(std::string_view mountinfo) {
    std::vector<Mount> mounts;
    while (!mountinfo.empty()) {
        auto line = take_line(mountinfo);
        for (int skipped = 0; skipped < 3; ++skipped) take_word(line);
        Mount mount;
        mount.root = unescape(take_word(line));
        mount.point = unescape(take_word(line));
        auto word = take_word(line);  // options, then optional fields up to a dash
        while (!word.empty() && word != "-") word = take_word(line);
        const auto type = take_word(line);
        take_word(line);  // source
        mount.options = take_word(line);
        mount.unified = type == "cgroup2";
        // A later mount on the same point hides the earlier one.
        std::erase_if(mounts, [&](const Mount& old) { return old.point == mount.point; });
        if (type == "cgroup" || type == "cgroup2") mounts.push_back(std::move(mount));
    }
    return mounts;
}

Parts path_parts(std::string_view path) {
    Parts parts;
    while (!path.empty()) {
        const auto end = path.find('/');
        const auto part = path.substr(0, end);
        if (!part.empty() && part != ".") parts.push_back(part);
        path.remove_prefix(end == std::string_view::npos ? path.size() : end + 1);
    }
    return parts;
}

std::size_t leading_parents(const Parts& parts) {
    const auto end =
        std::find_if(parts.begin(), parts.end(), [](auto part) { return part != ".."; });
    return static_cast<std::size_t>(end - parts.begin());
}

/// The names that lead from what a mount shows to our group; null if the mount does not show it.
/// Both paths are as seen from the root of our cgroup namespace, so both may begin with "..".
std::optional<Parts> below(const Parts& root, const Parts& own) {
    const bool inside =
        root.size() <= own.size() && std::equal(root.begin(), root.end(), own.begin());
    if (!inside) {
        // A mount from outside the namespace that shows an ancestor of it: the names between are
        // hidden, but the limits of the ancestor are there to read, and bind.
        if (leading_parents(root) == root.size() && leading_parents(own) < root.size())
            return Parts{};
        return std::nullopt;
    }
    Parts rest(own.begin() + static_cast<std::ptrdiff_t>(root.size()), own.end());
    if (std::find(rest.begin(), rest.end(), "..") != rest.end()) return std::nullopt;
    return rest;
}

/// Our group and its ancestors as one mount shows them; only those that are really there.
std::vector<Cgroup::Level> levels_of(const FileTree& tree, const Mount& mount,
                                     std::string_view own) {
    const auto rest = below(path_parts(mount.root), path_parts(own));
    if (!rest) return {};
    std::vector<Cgroup::Level> levels;
    Cgroup::Level level{mount.root == "/" ? "" : mount.root, mount.point};
    if (tree.has_directory(level.directory)) levels.push_back(level);
    for (std::size_t index = 0; index < rest->size(); ++index) {
        level.group.append("/").append((*rest)[index]);
        level.directory.append("/").append((*rest)[index]);
        const bool near = rest->size() - index <= limits::cgroup_levels;
        if (near && tree.has_directory(level.directory)) levels.push_back(level);
    }
    std::reverse(levels.begin(), levels.end());
    return levels;
}

/// Path of our group in a hierarchy, from /proc/self/cgroup: "ID:CONTROLLERS:PATH", for v2
/// "0::PATH".
std::string_view own_group(std::string_view table, std::string_view controller) {
    while (!table.empty()) {
        auto line = take_line(table);
        const auto first = line.find(':');
        const auto second = line.find(':', first == std::string_view::npos ? first : first + 1);
        if (second == std::string_view::npos) continue;
        const auto controllers = line.substr(first + 1, second - first - 1);
        if (controller.empty() ? controllers.empty() : has_word(controllers, controller))
            return line.substr(second + 1);
    }
    return {};
}

std::optional<std::int64_t> smaller(std::optional<std::int64_t> smallest,
                                    std::optional<std::int64_t> value) {
    if (!smallest || (value && *value < *smallest)) return value;
    return smallest;
}

}  // namespace

Cgroup::Cgroup(const FileTree& tree) : tree_(tree) {
    const auto table = tree_.text("proc/self/cgroup");
    const auto mounts = cgroup_mounts(tree_.text("proc/self/mountinfo"));
    // Of several mounts of a hierarchy the one that shows most of our ancestors is best.
    const auto find = [&](std::string_view controller) {
        std::vector<Level> best;
        const auto own = own_group(table, controller);
        if (own.empty()) return best;
        for (const auto& mount : mounts) {
            if (mount.unified != controller.empty()) continue;
            if (!mount.unified && !has_word(mount.options, controller)) continue;
            auto levels = levels_of(tree_, mount, own);
            if (levels.size() > best.size()) best = std::move(levels);
        }
        return best;
    };
    cpu_ = find("cpu");
    cpuacct_ = find("cpuacct");
    cpuset_ = find("cpuset");
    memory_ = find("memory");
    unified_ = find("");
}

std::optional<double> Cgroup::quota_of(const Level& level, bool unified) const {
    std::optional<std::int64_t> quota;
    std::optional<std::int64_t> period;
    if (unified) {
        const auto text = tree_.text(level.directory + "/cpu.max");  // "QUOTA|max PERIOD"
        std::string_view rest = trim(text);
        quota = to_number<std::int64_t>(take_word(rest));
        period = to_number<std::int64_t>(rest);
    } else {
        quota = to_number<std::int64_t>(tree_.text(level.directory + "/cpu.cfs_quota_us"));
        if (!quota || *quota <= 0) return std::nullopt;  // -1 is none
        period = to_number<std::int64_t>(tree_.text(level.directory + "/cpu.cfs_period_us"));
    }
    if (!quota || !period || *quota <= 0 || *period <= 0) return std::nullopt;
    return static_cast<double>(*quota) / static_cast<double>(*period);
}

std::optional<CpuQuota> Cgroup::cpu_quota() const {
    std::optional<CpuQuota> smallest;
    const auto look = [&](const std::vector<Level>& levels, bool unified) {
        for (const auto& level : levels) {
            const auto cpus = quota_of(level, unified);
            if (cpus && (!smallest || *cpus < smallest->cpus))
                smallest = CpuQuota{*cpus, level.group, unified};
        }
    };
    look(cpu_, false);
    look(unified_, true);
    return smallest;
}

std::optional<std::chrono::nanoseconds> Cgroup::cpu_time(const CpuQuota& quota) const {
    const auto& levels = quota.unified ? unified_ : cpuacct_;
    const auto level = std::find_if(levels.begin(), levels.end(),
                                    [&](const Level& each) { return each.group == quota.group; });
    if (level == levels.end()) return std::nullopt;
    if (!quota.unified) {
        const auto used = to_number<std::int64_t>(tree_.text(level->directory + "/cpuacct.usage"));
        if (!used || *used < 0) return std::nullopt;
        return std::chrono::nanoseconds{*used};
    }
    const auto text = tree_.text(level->directory + "/cpu.stat");
    const auto used = to_number<std::int64_t>(value_of(text, "usage_usec", ' '));
    constexpr auto most = std::numeric_limits<std::int64_t>::max() / 1000;
    if (!used || *used < 0 || *used > most) return std::nullopt;
    return std::chrono::microseconds{*used};
}

std::string Cgroup::cpuset() const {
    // The effective sets already respect every ancestor: the nearest one that is there is enough.
    for (const auto& level : cpuset_) {
        for (const auto* file : {"/cpuset.effective_cpus", "/cpuset.cpus"}) {
            auto text = tree_.text(level.directory + file);
            if (!trim(text).empty()) return text;
        }
    }
    for (const auto& level : unified_) {
        auto text = tree_.text(level.directory + "/cpuset.cpus.effective");
        if (!trim(text).empty()) return text;
    }
    return {};
}

std::optional<std::int64_t> Cgroup::limit_of(const Level& level, bool unified) const {
    const auto* file = unified ? "/memory.max" : "/memory.limit_in_bytes";
    const auto limit = to_number<std::int64_t>(tree_.text(level.directory + file));
    if (limit && *limit > 0) return limit;
    return std::nullopt;
}

std::optional<std::int64_t> Cgroup::memory_limit() const {
    std::optional<std::int64_t> smallest;
    for (const auto& level : memory_) smallest = smaller(smallest, limit_of(level, false));
    for (const auto& level : unified_) smallest = smaller(smallest, limit_of(level, true));
    return smallest;
}

std::optional<std::int64_t> Cgroup::available_of(const Level& level, bool unified,
                                                 std::int64_t limit) const {
    const auto* file = unified ? "/memory.current" : "/memory.usage_in_bytes";
    const auto usage = to_number<std::int64_t>(tree_.text(level.directory + file));
    if (!usage || *usage < 0) return std::nullopt;
    const auto stat = tree_.text(level.directory + "/memory.stat");
    const auto* key = unified ? "inactive_file" : "total_inactive_file";
    const auto cache = to_number<std::int64_t>(value_of(stat, key, ' ')).value_or(0);
    const auto used = *usage - std::clamp<std::int64_t>(cache, 0, *usage);
    return std::max<std::int64_t>(0, limit - used);
}

std::optional<std::int64_t> Cgroup::memory_available(std::int64_t ram_bytes) const {
    std::optional<std::int64_t> smallest;
    const auto look = [&](const std::vector<Level>& levels, bool unified) {
        for (const auto& level : levels) {
            const auto limit = limit_of(level, unified);
            if (limit && *limit < ram_bytes)
                smallest = smaller(smallest, available_of(level, unified, *limit));
        }
    };
    look(memory_, false);
    look(unified_, true);
    return smallest;
}

}  // namespace rpic
