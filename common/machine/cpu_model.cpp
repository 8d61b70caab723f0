#include <algorithm>
#include <charconv>

#include "common/machine/board_id.hpp"
#include "common/machine/cpus.hpp"
#include "common/machine/kernel_text.hpp"

namespace rpic {

namespace {

/// Implementer and part of the Main ID Register (Arm Architecture Reference Manual), as
/// /proc/cpuinfo gives them.
struct ArmPart {
    unsigned implementer = 0;
    unsigned part = 0;

    bool operator==(const ArmPart&) const = default;
};

struct ArmName {
    ArmPart id;
    std::string_view name;
};

constexpr ArmName arm_names[] = {
    {{0x41, 0x920}, "ARM920"},         {{0x41, 0x926}, "ARM926"},
    {{0x41, 0xb02}, "ARM11 MPCore"},   {{0x41, 0xb36}, "ARM1136"},
    {{0x41, 0xb56}, "ARM1156"},        {{0x41, 0xb76}, "ARM1176"},
    {{0x41, 0xc05}, "Cortex-A5"},      {{0x41, 0xc07}, "Cortex-A7"},
    {{0x41, 0xc08}, "Cortex-A8"},      {{0x41, 0xc09}, "Cortex-A9"},
    {{0x41, 0xc0d}, "Cortex-A12"},     {{0x41, 0xc0e}, "Cortex-A17"},
    {{0x41, 0xc0f}, "Cortex-A15"},     {{0x41, 0xd01}, "Cortex-A32"},
    {{0x41, 0xd02}, "Cortex-A34"},     {{0x41, 0xd03}, "Cortex-A53"},
    {{0x41, 0xd04}, "Cortex-A35"},     {{0x41, 0xd05}, "Cortex-A55"},
    {{0x41, 0xd06}, "Cortex-A65"},     {{0x41, 0xd07}, "Cortex-A57"},
    {{0x41, 0xd08}, "Cortex-A72"},     {{0x41, 0xd09}, "Cortex-A73"},
    {{0x41, 0xd0a}, "Cortex-A75"},     {{0x41, 0xd0b}, "Cortex-A76"},
    {{0x41, 0xd0c}, "Neoverse-N1"},    {{0x41, 0xd0d}, "Cortex-A77"},
    {{0x41, 0xd0e}, "Cortex-A76AE"},   {{0x41, 0xd40}, "Neoverse-V1"},
    {{0x41, 0xd41}, "Cortex-A78"},     {{0x41, 0xd42}, "Cortex-A78AE"},
    {{0x41, 0xd44}, "Cortex-X1"},      {{0x41, 0xd46}, "Cortex-A510"},
    {{0x41, 0xd47}, "Cortex-A710"},    {{0x41, 0xd48}, "Cortex-X2"},
    {{0x41, 0xd49}, "Neoverse-N2"},    {{0x41, 0xd4a}, "Neoverse-E1"},
    {{0x41, 0xd4b}, "Cortex-A78C"},    {{0x41, 0xd4d}, "Cortex-A715"},
    {{0x41, 0xd4e}, "Cortex-X3"},      {{0x41, 0xd4f}, "Neoverse-V2"},
    {{0x41, 0xd80}, "Cortex-A520"},    {{0x41, 0xd81}, "Cortex-A720"},
    {{0x42, 0x00f}, "Brahma-B15"},     {{0x42, 0x100}, "Brahma-B53"},
    {{0x43, 0x0a1}, "ThunderX"},       {{0x43, 0x0af}, "ThunderX2"},
    {{0x46, 0x001}, "A64FX"},          {{0x4e, 0x000}, "Denver"},
    {{0x4e, 0x003}, "Denver 2"},       {{0x4e, 0x004}, "Carmel"},
    {{0x51, 0x04d}, "Krait"},          {{0x51, 0x06f}, "Krait"},
    {{0x51, 0x802}, "Kryo 3xx Gold"},  {{0x51, 0x803}, "Kryo 3xx Silver"},
    {{0x51, 0x804}, "Kryo 4xx Gold"},  {{0x51, 0x805}, "Kryo 4xx Silver"},
    {{0x56, 0x131}, "Feroceon"},       {{0x56, 0x581}, "PJ4"},
    {{0x61, 0x022}, "Apple Icestorm"}, {{0x61, 0x023}, "Apple Firestorm"},
    {{0xc0, 0xac3}, "Ampere-1"},
};

std::string name_of(ArmPart id) {
    for (const auto& known : arm_names)
        if (known.id == id) return std::string(known.name);
    const auto hex = [](unsigned number) {
        char digits[16];
        const auto end = std::to_chars(digits, digits + sizeof digits, number, 16).ptr;
        return "0x" + std::string(digits, end);
    };
    return "ARM part " + hex(id.implementer) + "/" + hex(id.part);
}

std::optional<unsigned> parse_hex(std::string_view text) {
    if (!text.starts_with("0x")) return std::nullopt;
    text.remove_prefix(2);
    unsigned number = 0;
    const auto* end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, number, 16);
    if (error != std::errc{} || stop != end) return std::nullopt;
    return number;
}

/// The distinct cores of an ARM machine (big.LITTLE has two or three kinds); empty on others.
std::string arm_cores(std::string_view cpuinfo) {
    constexpr std::size_t most = 8;
    std::vector<ArmPart> parts;
    unsigned implementer = 0;
    while (!cpuinfo.empty() && parts.size() < most) {
        const auto line = take_line(cpuinfo);
        const auto colon = line.find(':');
        if (colon == std::string_view::npos) continue;
        const auto key = trim(line.substr(0, colon));
        const auto number = parse_hex(trim(line.substr(colon + 1)));
        if (!number) continue;
        if (key == "CPU implementer") implementer = *number;
        if (key != "CPU part" || implementer == 0) continue;
        const ArmPart part{implementer, *number};
        if (std::find(parts.begin(), parts.end(), part) == parts.end()) parts.push_back(part);
    }
    std::string names;
    for (const auto& part : parts) names += (names.empty() ? "" : " + ") + name_of(part);
    return names;
}

std::string processor(std::string_view cpuinfo) {
    auto cores = arm_cores(cpuinfo);
    if (!cores.empty()) return cores;
    // x86; MIPS; RISC-V; POWER; ARM before Linux 3.8.
    for (const auto* key : {"model name", "cpu model", "uarch", "cpu", "Processor"}) {
        auto name = display_text(value_of(cpuinfo, key, ':'));
        if (!name.empty()) return name;
    }
    return {};
}

}  // namespace

std::string cpu_model(const FileTree& tree) {
    const auto cpuinfo = tree.text("proc/cpuinfo");
    const auto cpu = processor(cpuinfo);
    const auto machine = board_model(tree);
    if (cpu.empty()) return machine;
    if (machine.empty()) return cpu;
    return display_text(cpu + " (" + machine + ")");
}

}  // namespace rpic
