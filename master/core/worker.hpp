#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>

#include "common/clock.hpp"
#include "common/where.hpp"
#include "master/core/job_records.hpp"
#include "master/core/node.hpp"

namespace rpic {

/// What one task takes of a node while it runs.
struct Needs {
    std::int64_t cpus_milli = 0;
    std::int64_t memory_bytes = 0;
    std::map<std::string, std::int64_t> resources;
};

/// A node with the role worker, as the one who gives it work sees it.
struct Worker {
    using AttemptId = std::tuple<JobId, Position, std::int64_t>;
    struct Held {
        Needs needs;
        std::string submitter;
        bool ahead = false;       // waits there: takes nothing yet
        bool retracting = false;  // the node was asked to give it back
    };

    const Node* node = nullptr;                 // none: not heard of since the master's start
    std::map<std::string, std::string> labels;  // labels_of() the node
    SessionId session = 0;                      // 0: not resynced, gets no orders
    Needs used;
    std::map<AttemptId, Held> attempts;  // all that it may still have
    std::set<AttemptId> detached;        // those of the time when it was lost
    std::deque<AttemptId> ahead;         // of these, those that wait, in their order
    std::int64_t retracting = 0;         // of these, those that it was asked to give back
    double speed = 1;                    // measured; 1 is the mean of the cluster
    std::int64_t measured = 0;
    int failures_in_row = 0;
    int blames = 0;         // for tasks that succeeded elsewhere
    int broken_in_row = 0;  // attempts that the node itself could not run
    std::optional<Instant> drain_deadline;
    bool power_ordered = false;  // over this session

    std::int64_t cpus_milli() const { return node->record.cpus * 1000; }
    std::int64_t free_milli() const { return cpus_milli() - used.cpus_milli; }
    std::int64_t running() const {
        return static_cast<std::int64_t>(attempts.size() - ahead.size());
    }

    /// Whether a task fits, with what runs there now or, `empty`, if nothing ran there.
    bool fits(const Needs& needs, bool empty = false) const;
    void occupy(const Needs& needs);
    void vacate(const Needs& needs);
    /// Gets orders at all: connected, well, not draining and not in quarantine.
    bool takes_work() const;
    WhereFacts facts() const;
    /// Cores' worth of load that is not ours, 0 if it is not known.
    double foreign_load() const;
};

}  // namespace rpic
