#include "slave/core/backoff.hpp"

#include <algorithm>

#include "common/limits.hpp"

namespace rpic {

Duration Backoff::next(Instant now, double chance) {
    if (ceiling_ == Duration::zero()) outage_began_ = now;
    const bool early = now - outage_began_ < limits::reconnect_early_part;
    const Duration early_max = limits::reconnect_early_max;
    const Duration most = early ? std::min(early_max, longest_) : longest_;
    const Duration first = limits::reconnect_first;
    ceiling_ = std::min(std::max(2 * ceiling_, first), most);
    return std::chrono::duration_cast<Duration>(ceiling_ * chance);
}

void Backoff::reset() {
    ceiling_ = Duration::zero();
}

}  // namespace rpic
