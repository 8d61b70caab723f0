#pragma once

#include <cstddef>
#include <map>

#include "common/clock.hpp"

namespace rpic {

/// Which of several masters a slave tries next: the one that served it last, then the others in
/// turn; one that refused it rests for limits::refused_retry without holding up the others. Pure.
class MasterChoice {
  public:
    struct Choice {
        std::size_t index = 0;
        Duration wait{};  // until it may be tried: all masters rest
    };

    /// The next of `count` masters (at least one).
    Choice next(Instant now, std::size_t count);

    void joined(std::size_t index) { first_ = index; }
    void failed(std::size_t index) { first_ = index + 1; }
    void refused(std::size_t index, Instant now);

    /// Whether each of `count` masters has refused this slave and rests.
    bool all_refused(Instant now, std::size_t count) const;
    /// There is another key to try: nobody rests any more.
    void forget_refusals() { rests_until_.clear(); }

  private:
    std::size_t first_ = 0;
    std::map<std::size_t, Instant> rests_until_;
};

}  // namespace rpic
