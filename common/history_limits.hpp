#pragma once

#include "common/limits.hpp"

namespace rpic::limits {

inline constexpr auto web_history_time = 15min;             // of nodes' vitals; older: forgotten
inline constexpr auto web_history_interval = 4s;            // between two samples; others: left out
inline constexpr std::size_t web_history_samples = 65'536;  // of all nodes; more: the oldest go
inline constexpr std::size_t web_history_gaps = 32;         // of one node; likewise
inline constexpr auto web_history_kept = 1s;                // its text is not made anew

}  // namespace rpic::limits
