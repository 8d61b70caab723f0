#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/clock.hpp"
#include "common/messages.hpp"

namespace rpic {

/// How the nodes were in the last minutes, for whoever opens the page later: what they said of
/// themselves, and when they were away. limits::web_history_samples bound it, whatever the number
/// of nodes: each gets its share of them. Pure.
class VitalsHistory {
  public:
    struct Sample {
        Instant heard{};
        std::int32_t tasks = 0;
        std::optional<float> cpu_percent;     // nothing: it did not say
        std::optional<float> memory_percent;  // likewise
        std::optional<float> temperature_c;   // likewise
    };
    /// From when a node was last heard until it was back.
    struct Gap {
        Instant from{};
        std::optional<Instant> to;
    };
    struct Entry {
        std::deque<Sample> samples;  // oldest first
        std::deque<Gap> away;        // likewise
    };

    /// What the master told about a node, now.
    void note(const NodeView& node, Instant now);

    void forget(const std::string& id);

    /// Forgets what is older than limits::web_history_time, and nodes of which nothing is left.
    void drop_old(Instant now);

    const std::map<std::string, Entry>& entries() const { return entries_; }  // by node id

  private:
    void note_presence(Entry& entry, bool here, Instant heard, Instant now) const;

    std::map<std::string, Entry> entries_;
};

}  // namespace rpic
