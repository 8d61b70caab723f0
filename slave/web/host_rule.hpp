#pragma once

#include <boost/asio/ip/address.hpp>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace rpic {

/// Which names this server answers to. A page of a stranger can make a browser ask any address
/// under a name of the stranger's (DNS rebinding) and would then be allowed to read the answer; a
/// request that does not name this server is therefore refused (421).
struct HostRule {
    std::uint16_t port = 0;
    bool beyond_loopback = false;
    /// Besides localhost and this side's address, in lower case. Addresses too: behind a port that
    /// is forwarded, as to a container, this side has another than the one that browsers ask for.
    std::vector<std::string> names;
};

enum class HostVerdict { ours, foreign, malformed };

/// Judges the value of a Host field (RFC 9110 section 7.2). `local` is this side's address of the
/// connection.
HostVerdict judge_host(const HostRule& rule, std::string_view host,
                       const boost::asio::ip::address& local);

/// An IPv4 address that came through an IPv6 socket, as IPv4; any other address as it is.
boost::asio::ip::address plain_address(const boost::asio::ip::address& address);

/// Whether this address is the machine itself: 127.0.0.0/8, ::1, or the first through IPv6.
bool is_loopback(const boost::asio::ip::address& address);

}  // namespace rpic
