#pragma once

#include "test/sim/audit.hpp"
#include "test/sim/model_store.hpp"
#include "test/sim/network.hpp"
#include "test/sim/timeline.hpp"
#include "test/sim/trace.hpp"

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
    Network network{timeline, random};
    bool faults = true;  // of disks and tasks: over in the second phase

    Duration now() const { return timeline.now(); }
};

}  // namespace rpic::sim
