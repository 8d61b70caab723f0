#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "common/clock.hpp"
#include "common/machine/cgroup.hpp"
#include "common/machine/cpus.hpp"
#include "common/machine/disks.hpp"
#include "common/machine/file_tree.hpp"
#include "common/machine/machine_calls.hpp"
#include "common/machine/network.hpp"
#include "common/machine/sensors.hpp"
#include "common/machine/throttling.hpp"
#include "common/messages.hpp"

namespace rpic {

/// Reads what this machine is and how it feels from /proc and /sys (proc(5), sysfs(5),
/// cgroups(7)). The root is injectable, so that recorded trees of other machines can be tested.
/// Nothing here throws for a missing or strange file: what cannot be read is empty, 0 or null.
class Machine {
  public:
    /// The machine that runs this or, with another root, a recorded one without calls.
    explicit Machine(const std::filesystem::path& root = "/");

    /// The files below `root`, with calls that fit them. `folder` is that of the state: its disk is
    /// the one that is told about.
    Machine(const std::filesystem::path& root, MachineCalls calls,
            const std::filesystem::path& folder = "/");

    /// What the machine is. Cheap enough for every connection, not for every heartbeat.
    MachineFacts facts() const;

    /// How the machine feels now; CPU percent is the mean since the previous call. Costs less than
    /// 200 us on a PC (the unit tests print it), so it may run on the loop.
    Vitals vitals(Instant now);

    /// Same board, same fingerprint: board serial, else DMI UUID, else lowest permanent MAC; empty
    /// if there is none of them (a container).
    std::string fingerprint() const;

    /// boot_id of random(4): changes with every boot.
    std::string boot_id() const;

  private:
    FileTree tree_;
    Cgroup cgroup_;
    MachineCalls calls_;
    CpuMeter cpu_meter_;
    Sensors sensors_;
    Throttling throttling_;
    Disks disks_;
    Network network_;
};

}  // namespace rpic
