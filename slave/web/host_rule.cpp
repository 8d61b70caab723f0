#include "slave/web/host_rule.hpp"

#include <algorithm>
#include <boost/asio/ip/address_v4.hpp>
#include <boost/asio/ip/address_v6.hpp>
#include <optional>

#include "common/text.hpp"

namespace rpic {

namespace ip = boost::asio::ip;

namespace {

bool is_letter_or_digit(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

struct HostField {
    std::string name;  // without the brackets of an IPv6 address, in lower case
    bool bracketed = false;
    std::optional<std::uint16_t> port;
};

std::optional<HostField> parse_host(std::string_view text) {
    HostField field;
    std::string_view rest;
    if (text.starts_with('[')) {
        const auto end = text.find(']');
        if (end == std::string_view::npos) return std::nullopt;
        field.bracketed = true;
        field.name = lower(text.substr(1, end - 1));
        rest = text.substr(end + 1);
    } else {
        const auto colon = text.find(':');
        field.name = lower(text.substr(0, colon));
        if (colon != std::string_view::npos) rest = text.substr(colon);
        const auto allowed = [](char c) {
            return is_letter_or_digit(c) || c == '.' || c == '-' || c == '_';
        };
        if (!std::all_of(field.name.begin(), field.name.end(), allowed)) return std::nullopt;
    }
    if (rest.empty() || rest == ":") return field;
    unsigned long port = 0;
    if (rest.front() != ':' || rest.size() > 6) return std::nullopt;
    for (const char c : rest.substr(1)) {
        if (c < '0' || c > '9') return std::nullopt;
        port = port * 10 + static_cast<unsigned long>(c - '0');
    }
    if (port == 0 || port > 65535) return std::nullopt;
    field.port = static_cast<std::uint16_t>(port);
    return field;
}

/// Addresses of one interface carry its number as their scope, which no Host field does.
ip::address without_scope(const ip::address& address) {
    if (!address.is_v6()) return address;
    return ip::address_v6(address.to_v6().to_bytes());
}

/// Whether the names hold this address, however each of them writes it.
bool holds(const std::vector<std::string>& names, const ip::address& address) {
    return std::any_of(names.begin(), names.end(), [&](std::string_view name) {
        if (name.starts_with('[') && name.ends_with(']')) name = name.substr(1, name.size() - 2);
        boost::system::error_code error;
        const auto literal = ip::make_address(std::string(name), error);
        return !error && plain_address(literal) == plain_address(address);
    });
}

}  // namespace

ip::address plain_address(const ip::address& address) {
    if (address.is_v6() && address.to_v6().is_v4_mapped())
        return ip::make_address_v4(ip::v4_mapped, address.to_v6());
    return address;
}

bool is_loopback(const ip::address& address) {
    return plain_address(address).is_loopback();
}

HostVerdict judge_host(const HostRule& rule, std::string_view host, const ip::address& local) {
    const auto field = parse_host(host);
    if (!field) return HostVerdict::malformed;
    if (field->port && *field->port != rule.port) return HostVerdict::foreign;

    boost::system::error_code error;
    const ip::address literal = ip::make_address(field->name, error);
    if (field->bracketed && (error || !literal.is_v6())) return HostVerdict::malformed;
    if (!error) {
        if (literal.is_loopback()) return HostVerdict::ours;
        const bool own = rule.beyond_loopback && literal == without_scope(plain_address(local));
        return own || holds(rule.names, literal) ? HostVerdict::ours : HostVerdict::foreign;
    }
    std::string name = field->name;
    if (name.ends_with('.')) name.pop_back();
    const bool known = name == "localhost" ||
                       std::find(rule.names.begin(), rule.names.end(), name) != rule.names.end();
    return known ? HostVerdict::ours : HostVerdict::foreign;
}

}  // namespace rpic
