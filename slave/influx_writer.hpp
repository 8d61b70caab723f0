#pragma once

#include <boost/asio/awaitable.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "common/clock.hpp"
#include "common/text.hpp"
#include "slave/web/cluster_view.hpp"

namespace rpic {

struct InfluxOptions {
    std::string url;    // http://HOST[:PORT]/write?db=D, or /api/v2/write?...; empty: off
    std::string token;  // for "Authorization: Token"; empty: none
    Duration interval{};
};

/// Where a URL leads.
struct InfluxTarget {
    HostPort host;
    std::string target;  // path and query
};

/// Nothing for what is no http:// URL.
std::optional<InfluxTarget> parse_influx_url(std::string_view url);

/// Sends what the nodes measured to an InfluxDB, one POST for all of them each interval. What
/// cannot be sent is dropped: a database that is away must not fill our memory.
class InfluxWriter {
  public:
    InfluxWriter(const InfluxOptions& options, const ClusterView& view)
        : options_(options), view_(view) {}

    /// Goes on for as long as the slave does.
    boost::asio::awaitable<void> run();

  private:
    boost::asio::awaitable<void> post(std::string lines);

    const InfluxOptions& options_;
    const ClusterView& view_;
};

}  // namespace rpic
