#include "common/machine/network.hpp"

#include <array>
#include <charconv>
#include <limits>

#include "common/limits.hpp"
#include "common/machine/kernel_text.hpp"

namespace rpic {

namespace {

std::uint32_t from_hex(std::string_view text) {
    std::uint32_t number = 0;
    std::from_chars(text.data(), text.data() + text.size(), number, 16);
    return number;
}

constexpr std::uint32_t route_up = 1;  // RTF_UP of linux/route.h

/// The interface with the cheapest default route of IPv4; empty if there is none.
std::string default_of_ipv4(const FileTree& tree) {
    const auto table = tree.text("proc/net/route");
    std::string_view rest = table;
    take_line(rest);  // the header
    std::string best;
    auto best_metric = std::numeric_limits<std::int64_t>::max();
    while (!rest.empty()) {
        auto line = take_line(rest);
        std::array<std::string_view, 8> words;  // Iface Destination Gateway Flags . . Metric Mask
        for (auto& word : words) word = take_word(line);
        const auto metric = to_number<std::int64_t>(words[6]);
        if (words[1] != "00000000" || words[7] != "00000000" || !metric) continue;
        if ((from_hex(words[3]) & route_up) == 0 || *metric >= best_metric) continue;
        best = words[0];
        best_metric = *metric;
    }
    return best;
}

/// The same of IPv6.
std::string default_of_ipv6(const FileTree& tree) {
    const auto table = tree.text("proc/net/ipv6_route");
    std::string_view rest = table;
    std::string best;
    auto best_metric = std::numeric_limits<std::uint32_t>::max();
    while (!rest.empty()) {
        auto line = take_line(rest);
        std::array<std::string_view, 10> words;  // destination length ... metric . . flags name
        for (auto& word : words) word = take_word(line);
        const bool any = words[0].find_first_not_of('0') == std::string_view::npos;
        const auto metric = from_hex(words[5]);
        if (!any || words[1] != "00" || words[9].empty() || words[9] == "lo") continue;
        if ((from_hex(words[8]) & route_up) == 0 || metric >= best_metric) continue;
        best = words[9];
        best_metric = metric;
    }
    return best;
}

/// A cluster may live on a network that leads nowhere else.
std::string first_up(const FileTree& tree) {
    for (const auto& name : tree.entries("sys/class/net")) {
        if (name == "lo") continue;
        if (trim(tree.text("sys/class/net/" + name + "/operstate")) == "up") return name;
    }
    return {};
}

std::optional<std::int64_t> counter(std::string_view word) {
    const auto number = to_number<std::int64_t>(word);
    if (!number || *number < 0) return std::nullopt;
    return number;
}

/// The counters of one interface in /proc/net/dev (proc(5)).
void read_counters(const FileTree& tree, Network::Reading& reading) {
    const auto table = tree.text("proc/net/dev");
    auto line = value_of(table, reading.name, ':');
    std::array<std::string_view, 11> words;  // receive: bytes packets errs ...; transmit likewise
    for (auto& word : words) word = take_word(line);
    reading.received_bytes = counter(words[0]);
    reading.sent_bytes = counter(words[8]);
    const auto received_badly = counter(words[2]);
    const auto sent_badly = counter(words[10]);
    constexpr auto most = std::numeric_limits<std::int64_t>::max() / 2;
    if (received_badly && sent_badly && *received_badly < most && *sent_badly < most)
        reading.errors = *received_badly + *sent_badly;
}

}  // namespace

Network::Reading Network::read(const FileTree& tree, Instant now) {
    if (!looked_ || now - *looked_ >= limits::network_look_interval) {
        looked_ = now;
        look(tree);
    }
    Reading reading;
    reading.name = name_;
    reading.mbps = mbps_;
    if (!name_.empty()) read_counters(tree, reading);
    return reading;
}

void Network::look(const FileTree& tree) {
    name_ = display_text(default_of_ipv4(tree));
    if (name_.empty()) name_ = display_text(default_of_ipv6(tree));
    if (name_.empty()) name_ = display_text(first_up(tree));
    mbps_.reset();
    if (name_.empty()) return;
    // Drivers that do not know it say -1, or 65535.
    const auto speed = to_number<std::int64_t>(tree.text("sys/class/net/" + name_ + "/speed"));
    if (speed && *speed > 0 && *speed != 65'535 && *speed <= 10'000'000) mbps_ = speed;
}

}  // namespace rpic
