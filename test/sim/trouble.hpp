#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace rpic::sim {

/// What goes wrong in a world. Each is counted where it takes effect, not where it is planned: a
/// kind that never comes up proves nothing, however many seeds pass.
enum class Trouble {
    clock_at_the_edge,  // of a machine: exactly 2 % fast or slow
    node_power_cut,
    slave_killed,
    runner_killed,
    spool_tail_torn,  // of a node: what was not synced, or a part of it
    spool_not_synced,
    node_disk_full,
    node_key_not_taken,
    upload_broken,
    way_up_cut,
    way_down_cut,
    both_ways_cut,
    way_slow,
    packet_dropped,
    connection_reset,
    master_killed,
    master_power_cut,
    master_disk_full,
    master_disk_broken,
    batch_gone,  // the master's last one, whose commit nobody has seen the end of
    batch_kept,
    item_unreadable,
    master_restored,
    submit_dropped,
    answer_dropped,
    kinds
};

inline constexpr std::array<std::string_view, static_cast<std::size_t>(Trouble::kinds)>
    trouble_names = {
        "clock_at_the_edge", "node_power_cut",   "slave_killed",       "runner_killed",
        "spool_tail_torn",   "spool_not_synced", "node_disk_full",     "node_key_not_taken",
        "upload_broken",     "way_up_cut",       "way_down_cut",       "both_ways_cut",
        "way_slow",          "packet_dropped",   "connection_reset",   "master_killed",
        "master_power_cut",  "master_disk_full", "master_disk_broken", "batch_gone",
        "batch_kept",        "item_unreadable",  "master_restored",    "submit_dropped",
        "answer_dropped"};

/// How often each kind came up.
class Troubles {
  public:
    void count(Trouble kind) { ++counts_[static_cast<std::size_t>(kind)]; }
    void add(const Troubles& others) {
        for (std::size_t kind = 0; kind < counts_.size(); ++kind)
            counts_[kind] += others.counts_[kind];
    }
    /// " slave_killed=3 ...", all of them.
    std::string text() const {
        std::string text;
        for (std::size_t kind = 0; kind < counts_.size(); ++kind)
            text += " " + std::string(trouble_names[kind]) + "=" + std::to_string(counts_[kind]);
        return text;
    }

  private:
    std::array<std::int64_t, trouble_names.size()> counts_{};
};

}  // namespace rpic::sim
