#pragma once

#include <optional>
#include <string>
#include <vector>

#include "common/clock.hpp"
#include "common/machine/file_tree.hpp"

namespace rpic {

/// The machine's own sensors in sysfs: thermal zones and hwmon devices (the kernel's
/// Documentation/driver-api/thermal and Documentation/hwmon). They are found by what they say they
/// are: numbers of zones and devices differ from board to board and from boot to boot.
class Sensors {
  public:
    struct Reading {
        std::optional<double> temperature_c;  // of the CPU
        std::optional<bool> undervoltage;     // the supply of a Raspberry Pi is too weak
    };

    /// Null is what the machine has no sensor for, or what the sensor cannot mean. Drivers may be
    /// loaded later than we start, so missing sensors are looked for again from time to time.
    Reading read(const FileTree& tree, Instant now);

  private:
    Reading read_known(const FileTree& tree) const;
    void search(const FileTree& tree);

    std::vector<std::string> temperatures_;  // files, best first
    std::string undervoltage_;               // file
    std::optional<Instant> searched_;
};

}  // namespace rpic
