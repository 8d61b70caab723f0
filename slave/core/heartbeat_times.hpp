#pragma once

#include <cstdint>
#include <map>
#include <optional>

#include "common/clock.hpp"

namespace rpic {

/// When the heartbeats were sent that the master has not answered: leases count from there. Pure.
class HeartbeatTimes {
  public:
    /// Too old ones are forgotten: an answer to them is no proof any more.
    void sent(std::int64_t sequence, Instant at);
    /// When the heartbeat was sent that was answered now, unless it or a later one was before.
    std::optional<Instant> answered(std::int64_t sequence);
    void clear() { sent_.clear(); }

  private:
    std::map<std::int64_t, Instant> sent_;
};

}  // namespace rpic
