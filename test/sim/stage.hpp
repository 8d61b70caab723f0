#pragma once

#include "test/sim/audit.hpp"
#include "test/sim/model_store.hpp"
#include "test/sim/network.hpp"
#include "test/sim/timeline.hpp"
#include "test/sim/trace.hpp"
#include "test/sim/trouble.hpp"

namespace rpic::sim {

enum class Policy { mixed, keep, stop };  // of jobs: on_disconnect

/// What everybody in the world shares.
struct Stage {
    explicit Stage(std::uint64_t seed) : random(seed) {}

    Timeline timeline;
    Random random;
    Trace trace{timeline};
    ModelStore store;  // the master's disk
    Audit audit{store};
    Troubles troubles;
    Network network{timeline, random, troubles};
    bool faults = true;  // of disks and tasks: over in the second phase

    /// Of one machine: up to 2 % fast or slow, now and then as far off as that.
    double clock_rate() {
        constexpr std::int64_t most = 20'000;  // millionths
        auto off = random.pick(-most, most);
        if (random.chance(25)) {
            troubles.count(Trouble::clock_at_the_edge);
            off = off < 0 ? -most : most;
        }
        return 1 + static_cast<double>(off) / 1e6;
    }

    Duration now() const { return timeline.now(); }
};

}  // namespace rpic::sim
