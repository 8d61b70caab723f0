#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/udp.hpp>
#include <memory>
#include <string>
#include <vector>

#include "slave/core/master_search.hpp"

namespace rpic {

namespace asio = boost::asio;

/// Where a question goes.
struct DiscoveryTarget {
    asio::ip::udp::endpoint endpoint;
    asio::ip::address_v4 leave_by;  // IPv4 multicast: the interface with this address
};

/// Every broadcast address of this machine, the group of all hosts (224.0.0.1) on each interface
/// with an IPv4 address, and that of all IPv6 nodes (ff02::1) on each interface; loopback apart.
/// Every host is a member of these groups, so neither switches nor masters have to learn about
/// them. Empty if there is no network.
std::vector<DiscoveryTarget> discovery_targets(std::uint16_t port);

/// Asks all of them, several times within limits::discovery_time, for a master that has this key;
/// whoever proves that. Throws DisconnectionError if no question could be sent.
asio::awaitable<std::vector<FoundMaster>> ask_for_masters(std::vector<DiscoveryTarget> targets,
                                                          std::string key);

/// Asks the system's resolver about names that most networks do not know. It cannot be interrupted
/// and can take as long as it likes, so one question at most is open at a time.
class NameProbe {
  public:
    explicit NameProbe(const asio::any_io_executor& executor);

    /// Whether this is an address, or a name that is known within limits::discovery_name_time.
    asio::awaitable<bool> knows(std::string host);

  private:
    struct Question;
    std::shared_ptr<Question> question_;  // with the resolver's handler, which may outlive this
};

}  // namespace rpic
