#pragma once

#include "common/clock.hpp"

namespace rpic {

/// How long tasks may go on that must end when the master is away (on_disconnect=stop): a time
/// from the master's last sign of life, however late the task was launched. Pure.
class Lease {
  public:
    /// The master has acknowledged a heartbeat that was sent at this time. One in the future, or
    /// before the last one, is ignored.
    void renew(Instant sent_at, Instant now);

    /// Whether a task is to end that began at `started`.
    bool over(Instant now, Instant started, Duration stop_after) const;

  private:
    Instant renewed_{};
};

}  // namespace rpic
