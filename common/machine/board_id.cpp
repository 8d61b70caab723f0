#include "common/machine/board_id.hpp"

#include <algorithm>
#include <string_view>

#include "common/machine/kernel_text.hpp"

namespace rpic {

namespace {

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}
bool is_hex(char c) {
    return is_digit(c) || (c >= 'a' && c <= 'f');
}

/// Values that firmware carries when nobody filled in the real one, letters and digits alone.
constexpr std::string_view placeholders[] = {
    "tobefilledbyoem",
    "defaultstring",
    "systemserialnumber",
    "serialnumber",
    "notsettable",
    "notspecified",
    "notapplicable",
    "notavailable",
    "notpresent",
    "none",
    "unknown",
    "invalid",
    "123456789",
    "1234567890",
    "0123456789",
    "0123456789abcdef",
    "123456789abcdef",
    "03000200040005000006000700080009",
    "00020003000400050006000700080009",
    "12345678123456789012123456789012",
};

/// Whether a (lower-case) value is no identity: a placeholder, too short or too long, or one
/// character repeated such as all zeros and all f.
bool is_junk(std::string_view value) {
    constexpr std::size_t longest = 64;
    if (value.size() > longest) return true;
    std::string bare;
    for (const char c : value)
        if (is_digit(c) || (c >= 'a' && c <= 'z')) bare += c;
    constexpr std::size_t shortest = 4;
    if (bare.size() < shortest) return true;
    if (bare.find_first_not_of(bare.front()) == std::string::npos) return true;
    return std::find(std::begin(placeholders), std::end(placeholders), bare) !=
           std::end(placeholders);
}

std::string serial_number(const FileTree& tree) {
    for (const auto* file :
         {"sys/firmware/devicetree/base/serial-number", "proc/device-tree/serial-number"}) {
        auto serial = firmware_text(tree.text(file));
        if (!is_junk(lower(serial))) return serial;
    }
    const auto cpuinfo = tree.text("proc/cpuinfo");
    auto serial = display_text(value_of(cpuinfo, "Serial", ':'));
    return is_junk(lower(serial)) ? std::string() : serial;
}

/// An entry of the SMBIOS that somebody filled in.
std::string dmi_text(const FileTree& tree, const char* name) {
    auto text = display_text(tree.text(std::string("sys/class/dmi/id/") + name));
    return is_junk(lower(text)) ? std::string() : text;
}

bool is_station_address(std::string_view mac) {
    if (mac.size() != 17) return false;
    for (std::size_t at = 0; at < mac.size(); ++at)
        if (at % 3 == 2 ? mac[at] != ':' : !is_hex(mac[at])) return false;
    const bool multicast = std::string_view("13579bdf").find(mac[1]) != std::string_view::npos;
    return !multicast && !is_junk(mac);
}

std::string lowest_mac(const FileTree& tree) {
    std::string lowest;
    for (const auto& name : tree.entries("sys/class/net")) {
        const auto directory = "sys/class/net/" + name;
        // NET_ADDR_PERM of linux/netdevice.h and ARPHRD_ETHER of linux/if_arp.h: addresses that
        // were made up or copied from another interface tell nothing about the board.
        if (trim(tree.text(directory + "/addr_assign_type")) != "0") continue;
        if (trim(tree.text(directory + "/type")) != "1") continue;
        const auto address = lower(trim(tree.text(directory + "/address")));
        if (!is_station_address(address)) continue;
        if (lowest.empty() || address < lowest) lowest = address;
    }
    return lowest;
}

}  // namespace

std::string board_fingerprint(const FileTree& tree) {
    if (const auto serial = serial_number(tree); !serial.empty()) return "serial:" + lower(serial);
    const auto uuid = lower(display_text(tree.text("sys/class/dmi/id/product_uuid")));
    if (!is_junk(uuid)) return "dmi:" + uuid;
    if (const auto mac = lowest_mac(tree); !mac.empty()) return "mac:" + mac;
    return {};
}

std::string board_model(const FileTree& tree) {
    for (const auto* file : {"proc/device-tree/model", "sys/firmware/devicetree/base/model"}) {
        auto name = firmware_text(tree.text(file));
        if (!name.empty()) return name;
    }
    // 32-bit ARM kernels: "Model" is the board. "Hardware" is the family of the chip, which is
    // better than nothing, unless it only says that the device tree would know.
    const auto cpuinfo = tree.text("proc/cpuinfo");
    auto model = display_text(value_of(cpuinfo, "Model", ':'));
    if (!model.empty()) return model;
    auto hardware = display_text(value_of(cpuinfo, "Hardware", ':'));
    if (hardware.starts_with("Generic DT")) return {};
    return hardware;
}

std::string machine_model(const FileTree& tree) {
    auto model = board_model(tree);
    if (!model.empty()) return model;
    const auto maker = dmi_text(tree, "sys_vendor");
    auto product = dmi_text(tree, "product_name");
    if (maker.empty() || product.starts_with(maker)) return product;
    return display_text(product.empty() ? maker : maker + ' ' + product);
}

std::string machine_serial(const FileTree& tree) {
    auto serial = serial_number(tree);
    return serial.empty() ? dmi_text(tree, "product_serial") : serial;
}

}  // namespace rpic
