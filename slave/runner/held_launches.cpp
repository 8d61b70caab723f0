#include "slave/runner/held_launches.hpp"

#include <algorithm>

namespace rpic {

bool HeldLaunches::contains(const AttemptKey& key) const {
    return std::any_of(held_.begin(), held_.end(),
                       [&](const auto& each) { return each.second.key == key; });
}

bool HeldLaunches::hold(const AttemptKey& after, const LaunchSpec& spec) {
    return held_.emplace(after, spec).second;
}

std::optional<LaunchSpec> HeldLaunches::take(const AttemptKey& key) {
    return take(std::find_if(held_.begin(), held_.end(),
                             [&](const auto& each) { return each.second.key == key; }));
}

std::optional<LaunchSpec> HeldLaunches::take_after(const AttemptKey& after) {
    return take(held_.find(after));
}

std::optional<LaunchSpec> HeldLaunches::take(Held::const_iterator found) {
    if (found == held_.end()) return std::nullopt;
    return std::move(held_.extract(found).mapped());
}

}  // namespace rpic
