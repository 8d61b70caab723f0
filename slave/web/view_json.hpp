#pragma once

#include <string>

#include "slave/web/cluster_view.hpp"

/// What the HTTP API says of a ClusterView. The numbers that grow with time are those of `now`.
namespace rpic {

/// {"version":1,"nodes":[...]}, by name.
std::string nodes_json(const ClusterView& view, Instant now);

/// {"version":1,"master":{...}|null,"address":"HOST:PORT","connected":b,
/// "updated_seconds_ago":n|null,"trouble":""}
std::string master_json(const ClusterView& view, Instant now);

/// Both of them in one object: what an event of the event stream carries.
std::string state_json(const ClusterView& view, Instant now);

}  // namespace rpic
