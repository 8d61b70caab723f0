#include "slave/core/heartbeat_times.hpp"

#include <iterator>

#include "common/limits.hpp"

namespace rpic {

void HeartbeatTimes::sent(std::int64_t sequence, Instant at) {
    sent_[sequence] = at;
    if (sent_.size() > limits::heartbeats_remembered) sent_.erase(sent_.begin());
}

std::optional<Instant> HeartbeatTimes::answered(std::int64_t sequence) {
    const auto found = sent_.find(sequence);
    if (found == sent_.end()) return std::nullopt;
    const auto at = found->second;
    sent_.erase(sent_.begin(), std::next(found));
    return at;
}

}  // namespace rpic
