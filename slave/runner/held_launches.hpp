#pragma once

#include <map>
#include <optional>

#include "slave/runner/messages.hpp"

namespace rpic {

/// Launches that wait, one each, until an attempt that runs has ended. Pure.
class HeldLaunches {
  public:
    bool contains(const AttemptKey& key) const;
    /// False if another one waits for `after` already.
    bool hold(const AttemptKey& after, const LaunchSpec& spec);
    /// What is held under this key, if it is; then it is held no longer.
    std::optional<LaunchSpec> take(const AttemptKey& key);
    /// The same for the one that waits for `after`.
    std::optional<LaunchSpec> take_after(const AttemptKey& after);
    void clear() { held_.clear(); }

  private:
    using Held = std::map<AttemptKey, LaunchSpec>;  // by what they wait for
    std::optional<LaunchSpec> take(Held::const_iterator found);

    Held held_;
};

}  // namespace rpic
