#include "slave/web/vitals_history.hpp"

#include <algorithm>

#include "common/limits.hpp"

namespace rpic {

namespace {

std::optional<float> as_float(std::optional<double> value) {
    if (!value) return std::nullopt;
    return static_cast<float>(*value);
}

VitalsHistory::Sample sample_of(const NodeView& node, Instant heard) {
    VitalsHistory::Sample sample;
    sample.heard = heard;
    sample.tasks = static_cast<std::int32_t>(std::clamp<std::int64_t>(
        node.running_tasks, 0, static_cast<std::int64_t>(limits::node_tasks)));
    sample.cpu_percent = as_float(node.vitals.cpu_percent);
    sample.temperature_c = as_float(node.vitals.temperature_c);
    if (node.ram_bytes > 0 && node.vitals.ram_available_bytes) {
        const auto ram = static_cast<double>(node.ram_bytes);
        const auto available = static_cast<double>(*node.vitals.ram_available_bytes);
        sample.memory_percent = as_float(std::clamp(100 * (1 - available / ram), 0.0, 100.0));
    }
    return sample;
}

}  // namespace

void VitalsHistory::note_presence(Entry& entry, bool here, Instant heard, Instant now) const {
    const bool open = !entry.away.empty() && !entry.away.back().to;
    if (here != open) return;
    if (open) {
        entry.away.back().to = now;
        return;
    }
    entry.away.push_back({heard, std::nullopt});
    if (entry.away.size() > limits::web_history_gaps) entry.away.pop_front();
}

void VitalsHistory::note(const NodeView& node, Instant now) {
    if (!node.last_seen_seconds) return;
    // What a master says of times is clamped: an Instant must not overflow.
    const double ago = std::clamp(*node.last_seen_seconds, 0.0, 1e6);
    const Instant heard = now - Duration(static_cast<std::int64_t>(ago * 1e9));
    auto& entry = entries_[node.id];
    note_presence(entry, node.state == "online", heard, now);
    auto& samples = entry.samples;
    const bool due =
        samples.empty() || heard - samples.back().heard >= limits::web_history_interval;
    if (!due || now - heard > limits::web_history_time) return;
    samples.push_back(sample_of(node, heard));
    const auto share = std::max<std::size_t>(1, limits::web_history_samples / entries_.size());
    while (samples.size() > share) samples.pop_front();
}

void VitalsHistory::forget(const std::string& id) {
    entries_.erase(id);
}

void VitalsHistory::drop_old(Instant now) {
    const Instant oldest = now - limits::web_history_time;
    for (auto& [id, entry] : entries_) {
        auto& [samples, away] = entry;
        while (!samples.empty() && samples.front().heard < oldest) samples.pop_front();
        std::erase_if(away, [oldest](const Gap& gap) { return gap.to && *gap.to < oldest; });
    }
    std::erase_if(entries_, [](const auto& named) {
        return named.second.samples.empty() && named.second.away.empty();
    });
}

}  // namespace rpic
