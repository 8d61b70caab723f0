#include "common/machine/throttling.hpp"

#include <algorithm>
#include <charconv>

#include "common/limits.hpp"
#include "common/machine/kernel_text.hpp"

namespace rpic {

namespace {

// Bits of the firmware's answer (documentation of "vcgencmd get_throttled").
constexpr std::uint32_t undervoltage_now = 1U << 0;
constexpr std::uint32_t capped_now = 1U << 1;
constexpr std::uint32_t throttled_now = 1U << 2;
constexpr std::uint32_t soft_limit_now = 1U << 3;  // of the temperature
constexpr std::uint32_t undervoltage_since_boot = 1U << 16;

std::optional<std::uint32_t> parse_bits(std::string_view text) {
    text = trim(text);
    if (text.starts_with("0x")) text.remove_prefix(2);
    std::uint32_t bits = 0;
    const auto* end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, bits, 16);
    if (error != std::errc{} || stop != end) return std::nullopt;
    return bits;
}

/// Written when the Raspberry Pi had no better way; its folder is named after the chip's bus.
std::optional<std::uint32_t> get_throttled_file(const FileTree& tree) {
    for (const auto& bus : tree.entries("sys/devices/platform")) {
        if (!bus.starts_with("soc")) continue;
        const auto text =
            tree.text("sys/devices/platform/" + bus + "/" + bus + ":firmware/get_throttled");
        if (!text.empty()) return parse_bits(text);
    }
    return std::nullopt;
}

std::optional<std::int64_t> read_khz(const FileTree& tree, const std::string& file) {
    const auto khz = to_number<std::int64_t>(tree.text(file));
    if (!khz || *khz <= 0 || *khz > 100'000'000) return std::nullopt;
    return khz;
}

}  // namespace

Throttling::Reading Throttling::read(const FileTree& tree, const MachineCalls& calls,
                                     std::optional<bool> alarm, Instant now) {
    Reading reading;
    const auto bits = firmware(tree, calls, !alarm.has_value());
    reading.undervoltage = alarm;
    if (!alarm && bits) reading.undervoltage = (*bits & undervoltage_now) != 0;
    told_ = told_ || reading.undervoltage.has_value();
    seen_ = seen_ || reading.undervoltage.value_or(false) ||
            (bits.value_or(0) & undervoltage_since_boot) != 0;
    if (told_) reading.undervoltage_seen = seen_;
    if (bits) {
        reading.throttled = (*bits & (capped_now | throttled_now | soft_limit_now)) != 0;
        reading.frequency_capped = (*bits & capped_now) != 0;
    }
    if (!searched_ || now - *searched_ >= limits::sensor_search_interval) {
        searched_ = now;
        find_policies(tree);
    }
    read_frequencies(tree, reading);
    return reading;
}

std::optional<std::uint32_t> Throttling::firmware(const FileTree& tree, const MachineCalls& calls,
                                                  bool alone) {
    if (calls.firmware_throttled)
        if (const auto bits = calls.firmware_throttled()) return bits;
    if (!alone || file_read_) return std::nullopt;
    file_read_ = true;
    return get_throttled_file(tree);
}

void Throttling::find_policies(const FileTree& tree) {
    policies_.clear();
    const std::string parent = "sys/devices/system/cpu/cpufreq";
    for (const auto& name : tree.entries(parent)) {
        if (!name.starts_with("policy")) continue;
        const auto folder = parent + "/" + name;
        const auto max = read_khz(tree, folder + "/cpuinfo_max_freq");
        if (max) policies_.push_back({folder + "/scaling_max_freq", *max});
        if (policies_.size() == limits::cpu_policies) break;
    }
    std::stable_sort(policies_.begin(), policies_.end(),
                     [](const Policy& a, const Policy& b) { return a.max_khz > b.max_khz; });
}

void Throttling::read_frequencies(const FileTree& tree, Reading& reading) const {
    for (const auto& policy : policies_) {
        const auto limit = read_khz(tree, policy.limit_file);
        if (!limit) continue;
        const bool capped = *limit < policy.max_khz;
        reading.frequency_capped = reading.frequency_capped.value_or(false) || capped;
        if (reading.cpu_mhz_max) continue;
        reading.cpu_mhz_max = policy.max_khz / 1000;
        reading.cpu_mhz_limit = *limit / 1000;
    }
}

}  // namespace rpic
