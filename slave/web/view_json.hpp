#pragma once

#include <string>

#include "common/json.hpp"
#include "slave/web/cluster_view.hpp"

/// What the HTTP API says of a ClusterView (web/openapi.json has the schemas). The numbers that
/// grow with time are those of `now`.
namespace rpic {

/// Seconds on the webserver's own clock.
double clock_seconds(const ClusterView& view, Instant instant);

std::string nodes_json(const ClusterView& view, Instant now);
/// What is remembered of the nodes' vitals.
std::string history_json(const ClusterView& view, Instant now);
std::string node_json(const ClusterView& view, const NodeView& node, Instant now);
std::string master_json(const ClusterView& view, Instant now);
/// `id` is that of the last event which this state holds.
std::string state_json(const ClusterView& view, const std::string& id, Instant now);

// The data of the events of the stream.
std::string nodes_event(const ClusterView& view, const std::set<std::string>& ids, Instant now);
std::string jobs_event(const ClusterView& view, const std::set<std::int64_t>& ids, Instant now);
std::string tasks_event(const ClusterView& view, const std::map<Run::Key, Run>& runs, Instant now);
std::string events_event(const ClusterView& view, const std::vector<EventView>& events,
                         Instant now);
std::string master_event(const ClusterView& view, Instant now);
std::string alive_event(const ClusterView& view, Instant now);

}  // namespace rpic
