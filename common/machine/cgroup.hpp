#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/machine/file_tree.hpp"

namespace rpic {

/// A share of CPU time that a control group may use, together with everything else in it.
struct CpuQuota {
    double cpus = 0;       // CPU seconds per second; may be less than one
    std::string group;     // path of the group that has the quota
    bool unified = false;  // the group is one of cgroup v2
};

/// The control groups of this process (cgroups(7)): v1, v2, or both side by side. A limit on an
/// ancestor binds like one of our own, as far up as the mounts let us see; the smallest wins.
///
/// Where our groups are is found once; the limits are read anew by every call, because they may be
/// changed while we run.
class Cgroup {
  public:
    explicit Cgroup(const FileTree& tree);

    /// The smallest quota; null if there is none.
    std::optional<CpuQuota> cpu_quota() const;

    /// CPU time that the group of a quota has used so far; null if it is not to be had.
    std::optional<std::chrono::nanoseconds> cpu_time(const CpuQuota& quota) const;

    /// The CPUs of our cpuset as the kernel lists them, for example "0-3,8"; empty without one.
    std::string cpuset() const;

    /// The smallest memory limit in bytes; null if there is none. A limit that is larger than the
    /// RAM is told as well: v1 has a huge one for "none".
    std::optional<std::int64_t> memory_limit() const;

    /// Bytes that may still be allocated before a limit below `ram_bytes` is hit. Inactive file
    /// cache counts as free, since the kernel drops it first. Null if there is no such limit.
    std::optional<std::int64_t> memory_available(std::int64_t ram_bytes) const;

    /// A group and the directory that shows it.
    struct Level {
        std::string group;
        std::string directory;
    };

  private:
    std::optional<double> quota_of(const Level& level, bool unified) const;
    std::optional<std::int64_t> limit_of(const Level& level, bool unified) const;
    std::optional<std::int64_t> available_of(const Level& level, bool unified,
                                             std::int64_t limit) const;

    FileTree tree_;
    // Our own group first, then its ancestors. Those of v1 are empty where v2 has the controller.
    std::vector<Level> cpu_;
    std::vector<Level> cpuacct_;
    std::vector<Level> cpuset_;
    std::vector<Level> memory_;
    std::vector<Level> unified_;
};

}  // namespace rpic
