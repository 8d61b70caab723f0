#include "slave/core/master_choice.hpp"

#include <algorithm>

#include "common/limits.hpp"

namespace rpic {

MasterChoice::Choice MasterChoice::next(Instant now, std::size_t count) {
    std::erase_if(rests_until_,
                  [&](const auto& rest) { return rest.second <= now || rest.first >= count; });
    if (all_refused(now, count)) {
        const auto soonest =
            std::min_element(rests_until_.begin(), rests_until_.end(),
                             [](const auto& a, const auto& b) { return a.second < b.second; });
        return {soonest->first, soonest->second - now};
    }
    std::size_t index = first_ % count;
    while (rests_until_.contains(index)) index = (index + 1) % count;
    return {index, Duration::zero()};
}

void MasterChoice::refused(std::size_t index, Instant now) {
    rests_until_[index] = now + limits::refused_retry;
    failed(index);
}

bool MasterChoice::all_refused(Instant now, std::size_t count) const {
    std::size_t resting = 0;
    for (const auto& [index, until] : rests_until_)
        if (index < count && until > now) ++resting;
    return resting == count;
}

}  // namespace rpic
