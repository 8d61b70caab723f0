#include "slave/runner/lease.hpp"

namespace rpic {

void Lease::renew(Instant sent_at, Instant now) {
    if (sent_at > renewed_ && sent_at <= now) renewed_ = sent_at;
}

bool Lease::over(Instant now, Instant started, Duration stop_after) const {
    const auto from = renewed_ == Instant{} ? started : renewed_;
    return now - from >= stop_after;
}

}  // namespace rpic
