#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/clock.hpp"
#include "common/machine/cgroup.hpp"
#include "common/machine/file_tree.hpp"

namespace rpic {

/// CPU numbers of the kernel's list format, for example "0-3,8" (cpuset(7)), ascending; empty for
/// what is not such a list.
std::vector<int> parse_cpu_list(std::string_view list);

/// The CPUs that this process may run on.
struct UsableCpus {
    std::size_t count = 1;
    std::vector<int> only;  // their numbers, if they are not all that the machine has
};
UsableCpus usable_cpus(const FileTree& tree, const Cgroup& cgroup);

/// How many tasks of one CPU each fit: a quota of 1.5 CPUs makes two cores. At least 1.
std::int64_t usable_cores(const FileTree& tree, const Cgroup& cgroup);

/// Model of the CPU and, where the firmware tells it, the board: "Cortex-A72 (Raspberry Pi 4 Model
/// B Rev 1.4)". On ARM it is decoded from implementer and part, since the kernel gives no name, or
/// only that of the instruction set.
std::string cpu_model(const FileTree& tree);

/// Measures how busy the usable CPUs are between two calls.
class CpuMeter {
  public:
    /// 0 to 100 since the previous call; null for the first call and where it cannot be measured.
    /// Calls that follow each other too closely for the kernel's counters get the last value again.
    std::optional<double> percent(const FileTree& tree, const Cgroup& cgroup, Instant now);

  private:
    struct Sample {
        Instant at;
        std::optional<CpuQuota> quota;  // of the group whose use this is; null: of CPUs
        std::vector<int> only;          // which CPUs, if not all
        double busy = 0;                // nanoseconds of a group, clock ticks of CPUs
        double idle = 0;
    };
    static std::optional<Sample> sample(const FileTree& tree, const Cgroup& cgroup, Instant now);
    static bool same_source(const Sample& left, const Sample& right);

    std::optional<Sample> previous_;
    std::optional<double> percent_;
};

}  // namespace rpic
