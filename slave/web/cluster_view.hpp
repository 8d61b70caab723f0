#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "common/clock.hpp"
#include "common/messages.hpp"
#include "common/wakeup.hpp"

namespace rpic {

/// What the webserver knows of the cluster: filled by the webserver role from what the master
/// tells, read by the HTTP sessions. It lives on the one loop of the slave; no locks.
struct ClusterView {
    bool connected = false;  // the link to the master is up and the first picture is complete
    std::string master;      // HOST:PORT that the slave is connected to or tries to reach
    std::string trouble;     // why there is no link, in words; empty while connected
    std::optional<MasterView> master_view;  // last known
    std::map<std::string, NodeView> nodes;  // by node id; last known
    std::optional<Instant> updated;         // when the master last told something
    std::uint64_t version = 0;              // grows with every change
    Wakeup changed;                         // woken with every change

    explicit ClusterView(const boost::asio::any_io_executor& executor) : changed(executor) {}

    /// To be called after any change.
    void touch() {
        ++version;
        changed.notify();
    }
};

}  // namespace rpic
