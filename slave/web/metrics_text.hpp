#pragma once

#include <cstddef>
#include <string>

#include "slave/web/cluster_view.hpp"

namespace rpic {

/// What Prometheus reads: its text format 0.0.4, names after its conventions. Pure.
std::string metrics_text(const ClusterView& view, std::size_t viewers, Instant now);

/// What InfluxDB takes in one POST: a line for each node and each of the measurements cpu, ram and
/// swap, with the node as their tag. `wall_seconds` is the time of all of them; 0, while the clock
/// is not set, leaves that to the database. Pure.
std::string influx_lines(const ClusterView& view, std::int64_t wall_seconds);

}  // namespace rpic
