#pragma once

#include "common/clock.hpp"

namespace rpic {

/// How long a slave waits before it tries the master again: doubling from limits::reconnect_first
/// with full jitter (any time between nothing and the ceiling is equally likely), so that slaves
/// which lost their master together do not come back together. Pure.
class Backoff {
  public:
    /// `longest` is the ceiling of a long outage (--reconnect-max); in the first minutes it is at
    /// most limits::reconnect_early_max.
    explicit Backoff(Duration longest) : longest_(longest) {}

    /// The wait before the next attempt; `chance` is in [0, 1).
    Duration next(Instant now, double chance);

    /// The link is up: the next outage starts from the beginning.
    void reset();

    /// The ceiling that the last wait was drawn from.
    Duration ceiling() const { return ceiling_; }

  private:
    Duration longest_;
    Duration ceiling_{};
    Instant outage_began_{};
};

}  // namespace rpic
