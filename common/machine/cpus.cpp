#include "common/machine/cpus.hpp"

#include <sched.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "common/limits.hpp"
#include "common/machine/kernel_text.hpp"

namespace rpic {

namespace {

/// Clock ticks of /proc/stat.
struct Ticks {
    double busy = 0;
    double idle = 0;
    bool chosen = false;  // of chosen CPUs, not of all
};

std::optional<Ticks> parse_ticks(std::string_view words) {
    double columns[8] = {};  // user nice system idle iowait irq softirq steal; guests are in user
    std::size_t count = 0;
    for (auto& column : columns) {
        const auto number = to_number<std::uint64_t>(take_word(words));
        if (!number) break;
        column = static_cast<double>(*number);
        ++count;
    }
    if (count < 4) return std::nullopt;
    const double busy = columns[0] + columns[1] + columns[2] + columns[5] + columns[6] + columns[7];
    return Ticks{busy, columns[3] + columns[4], false};
}

/// The ticks of the given CPUs, or of all if none are given. A container may show us its CPUs under
/// other numbers than the cpuset has (lxcfs does); then all that it shows are ours.
std::optional<Ticks> read_ticks(const FileTree& tree, const std::vector<int>& only) {
    const auto stat = tree.text("proc/stat");
    std::string_view rest = stat;
    std::optional<Ticks> all;
    Ticks chosen{0, 0, true};
    std::size_t found = 0;
    while (rest.starts_with("cpu")) {
        auto line = take_line(rest);
        const auto name = take_word(line);
        if (name == "cpu") {
            all = parse_ticks(line);
            if (only.empty()) break;
            continue;
        }
        const auto number = to_number<int>(name.substr(3));
        if (!number || !std::binary_search(only.begin(), only.end(), *number)) continue;
        if (const auto ticks = parse_ticks(line)) {
            chosen.busy += ticks->busy;
            chosen.idle += ticks->idle;
            ++found;
        }
    }
    if (found == 0 || found != only.size()) return all;
    return chosen;
}

std::vector<int> online_cpus(const FileTree& tree) {
    auto cpus = parse_cpu_list(tree.text("sys/devices/system/cpu/online"));
    if (!cpus.empty()) return cpus;
    const auto stat = tree.text("proc/stat");  // where /sys is not mounted
    std::string_view rest = stat;
    while (rest.starts_with("cpu") && cpus.size() < limits::machine_cpus) {
        auto line = take_line(rest);
        if (const auto number = to_number<int>(take_word(line).substr(3))) cpus.push_back(*number);
    }
    return cpus;
}

std::vector<int> affinity(const FileTree& tree) {
    std::vector<int> cpus;
    if (!tree.is_this_machine()) return cpus;
    // As an array, because cpu_set_t itself ends at 1024 CPUs, and larger machines answer EINVAL.
    cpu_set_t masks[limits::machine_cpus / CPU_SETSIZE];
    if (sched_getaffinity(0, sizeof masks, masks) != 0) return cpus;
    for (int cpu = 0; cpu < static_cast<int>(limits::machine_cpus); ++cpu)
        if (CPU_ISSET_S(cpu, sizeof masks, masks)) cpus.push_back(cpu);
    return cpus;
}

/// The group's quota, if it gives less than the CPUs have.
std::optional<CpuQuota> binding_quota(const Cgroup& cgroup, const UsableCpus& cpus) {
    auto quota = cgroup.cpu_quota();
    if (quota && quota->cpus < static_cast<double>(cpus.count)) return quota;
    return std::nullopt;
}

}  // namespace

std::vector<int> parse_cpu_list(std::string_view list) {
    list = trim(list);
    std::vector<int> cpus;
    while (!list.empty()) {
        const auto comma = list.find(',');
        const auto range = list.substr(0, comma);
        list.remove_prefix(comma == std::string_view::npos ? list.size() : comma + 1);
        const auto dash = range.find('-');
        const auto first = to_number<int>(range.substr(0, dash));
        const auto last =
            dash == std::string_view::npos ? first : to_number<int>(range.substr(dash + 1));
        if (!first || !last || *first > *last) return {};
        const int lowest = cpus.empty() ? 0 : cpus.back() + 1;
        if (*first < lowest || *last >= static_cast<int>(limits::machine_cpus)) return {};
        for (int cpu = *first; cpu <= *last; ++cpu) cpus.push_back(cpu);
    }
    return cpus;
}

UsableCpus usable_cpus(const FileTree& tree, const Cgroup& cgroup) {
    auto smallest = online_cpus(tree);
    UsableCpus usable;
    for (auto& cpus : {affinity(tree), parse_cpu_list(cgroup.cpuset())}) {
        if (cpus.empty() || (!smallest.empty() && cpus.size() >= smallest.size())) continue;
        smallest = cpus;
        usable.only = cpus;
    }
    usable.count = std::max<std::size_t>(1, smallest.size());
    return usable;
}

std::int64_t usable_cores(const FileTree& tree, const Cgroup& cgroup) {
    const auto cpus = usable_cpus(tree, cgroup);
    const auto quota = binding_quota(cgroup, cpus);
    if (!quota) return static_cast<std::int64_t>(cpus.count);
    return std::max<std::int64_t>(1, static_cast<std::int64_t>(std::ceil(quota->cpus)));
}

std::optional<CpuMeter::Sample> CpuMeter::sample(const FileTree& tree, const Cgroup& cgroup,
                                                 Instant now) {
    const auto cpus = usable_cpus(tree, cgroup);
    // A quota is a share for the group alone, so the group's own use says how much of it is gone.
    // Whole CPUs are busy whoever uses them.
    if (const auto quota = binding_quota(cgroup, cpus)) {
        if (const auto used = cgroup.cpu_time(*quota))
            return Sample{now, quota, {}, static_cast<double>(used->count()), 0};
    }
    const auto ticks = read_ticks(tree, cpus.only);
    if (!ticks) return std::nullopt;
    const auto only = ticks->chosen ? cpus.only : std::vector<int>();
    return Sample{now, std::nullopt, only, ticks->busy, ticks->idle};
}

bool CpuMeter::same_source(const Sample& left, const Sample& right) {
    if (left.quota.has_value() != right.quota.has_value() || left.only != right.only) return false;
    if (!left.quota) return true;
    return left.quota->group == right.quota->group && left.quota->unified == right.quota->unified;
}

std::optional<double> CpuMeter::percent(const FileTree& tree, const Cgroup& cgroup, Instant now) {
    if (previous_ && now >= previous_->at && now - previous_->at < limits::cpu_interval_min)
        return percent_;
    auto current = sample(tree, cgroup, now);
    const auto before = std::exchange(previous_, current);
    if (!current || !before || !same_source(*before, *current)) return percent_ = std::nullopt;

    const double busy = current->busy - before->busy;
    double whole = 0;
    if (current->quota) {
        const Duration elapsed = current->at - before->at;
        whole = static_cast<double>(elapsed.count()) * current->quota->cpus;
    } else {
        const double all = busy + current->idle - before->idle;
        if (all == 0) return percent_;  // no tick since: nothing new to tell
        // Either count may go back a little while the sum grows; a sum that went back means other
        // counters (a checkpointed machine), and nothing to compare with.
        if (all > 0) whole = std::max(0.0, busy) + std::max(0.0, current->idle - before->idle);
    }
    if (!(whole > 0)) return percent_ = std::nullopt;
    return percent_ = std::clamp(100 * busy / whole, 0.0, 100.0);
}

}  // namespace rpic
