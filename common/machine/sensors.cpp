#include "common/machine/sensors.hpp"

#include <cstdint>
#include <map>
#include <string_view>

#include "common/limits.hpp"
#include "common/machine/kernel_text.hpp"

namespace rpic {

namespace {

// What sensors of the CPU, or of the chip that it is on, call themselves; best first.
constexpr std::string_view zone_types[] = {
    "cpu-thermal", "cpu_thermal",     "cpu0-thermal",     "cpu-thermal0",
    "soc-thermal", "soc_thermal",     "x86_pkg_temp",     "package-thermal",
    "CPU-therm",   "bcm2835_thermal", "imx_thermal_zone",
};
constexpr std::string_view hwmon_names[] = {
    "cpu_thermal", "coretemp", "k10temp", "zenpower", "k8temp", "soc_thermal", "via_cputemp",
};

/// Directories below `parent` by what the file `label` in them says. Of two that say the same the
/// first counts.
std::map<std::string, std::string> labelled(const FileTree& tree, std::string_view parent,
                                            std::string_view prefix, std::string_view label) {
    std::map<std::string, std::string> found;
    for (const auto& entry : tree.entries(parent)) {
        if (!entry.starts_with(prefix)) continue;
        auto directory = std::string(parent) + "/" + entry + "/";
        const auto text = tree.text(directory + std::string(label));
        found.emplace(trim(text), std::move(directory));
    }
    return found;
}

/// A temperature in thousandths of a degree. Sensors that are off or not wired tell absurd ones.
std::optional<double> read_temperature(const FileTree& tree, const std::string& file) {
    const auto number = to_number<std::int64_t>(tree.text(file));
    if (!number || *number < -40'000 || *number > 150'000) return std::nullopt;
    return static_cast<double>(*number) / 1000;
}

}  // namespace

Sensors::Reading Sensors::read(const FileTree& tree, Instant now) {
    auto reading = read_known(tree);
    const bool missing = !reading.temperature_c || !reading.undervoltage;
    const bool due = !searched_ || now - *searched_ >= limits::sensor_search_interval;
    if (missing && due) {
        searched_ = now;
        search(tree);
        reading = read_known(tree);
    }
    return reading;
}

Sensors::Reading Sensors::read_known(const FileTree& tree) const {
    Reading reading;
    for (const auto& file : temperatures_) {
        reading.temperature_c = read_temperature(tree, file);
        if (reading.temperature_c) break;
    }
    if (!undervoltage_.empty()) {
        const auto alarm = to_number<int>(tree.text(undervoltage_));
        if (alarm == 0 || alarm == 1) reading.undervoltage = alarm == 1;
    }
    return reading;
}

void Sensors::search(const FileTree& tree) {
    temperatures_.clear();
    undervoltage_.clear();
    const auto zones = labelled(tree, "sys/class/thermal", "thermal_zone", "type");
    for (const auto type : zone_types)
        if (const auto zone = zones.find(std::string(type)); zone != zones.end())
            temperatures_.push_back(zone->second + "temp");
    const auto devices = labelled(tree, "sys/class/hwmon", "hwmon", "name");
    for (const auto name : hwmon_names) {
        const auto device = devices.find(std::string(name));
        if (device == devices.end()) continue;
        temperatures_.push_back(device->second + "temp1_input");
        temperatures_.push_back(device->second + "temp2_input");  // no 1 without a package sensor
    }
    if (const auto device = devices.find("rpi_volt"); device != devices.end())
        undervoltage_ = device->second + "in0_lcrit_alarm";
}

}  // namespace rpic
