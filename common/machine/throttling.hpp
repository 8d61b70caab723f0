#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/clock.hpp"
#include "common/machine/file_tree.hpp"
#include "common/machine/machine_calls.hpp"

namespace rpic {

/// What holds a board back: a weak power supply, heat, a frequency below what its CPU can do. Told
/// by the hwmon driver of the Raspberry Pi, by its firmware, and by cpufreq (the kernel's
/// Documentation/admin-guide/pm/cpufreq.rst).
class Throttling {
  public:
    struct Reading {
        std::optional<bool> undervoltage;       // now
        std::optional<bool> undervoltage_seen;  // since the boot, or since the first reading
        std::optional<bool> throttled;          // now, by the firmware
        std::optional<bool> frequency_capped;   // now, by the firmware or by cpufreq
        std::optional<std::int64_t> cpu_mhz_max;
        std::optional<std::int64_t> cpu_mhz_limit;  // of the same cores; lower: capped
    };

    /// `alarm` is what the driver says about the power supply, if it is there: the firmware is
    /// asked for what the driver does not know. Where neither answers, the old file get_throttled
    /// is read, and only once: the kernel clears the bits that the firmware keeps with every read.
    Reading read(const FileTree& tree, const MachineCalls& calls, std::optional<bool> alarm,
                 Instant now);

  private:
    struct Policy {
        std::string limit_file;
        std::int64_t max_khz = 0;
    };

    std::optional<std::uint32_t> firmware(const FileTree& tree, const MachineCalls& calls,
                                          bool alone);
    void find_policies(const FileTree& tree);
    void read_frequencies(const FileTree& tree, Reading& reading) const;

    std::vector<Policy> policies_;  // cores that share a frequency, fastest first
    std::optional<Instant> searched_;
    bool file_read_ = false;
    bool told_ = false;  // somebody has told about the supply
    bool seen_ = false;
};

}  // namespace rpic
