#include "slave/web/view_json.hpp"

#include <algorithm>
#include <cmath>
#include <tuple>
#include <vector>

#include "common/json.hpp"

namespace rpic {

namespace {

double seconds_between(Instant from, Instant to) {
    return std::round(std::max(0.0, to_seconds(to - from)) * 1000) / 1000;
}

/// How long a node has been silent, as of now: the master said it some time ago.
std::optional<double> last_seen(const ClusterView& view, const NodeView& node, Instant now) {
    if (!node.last_seen_seconds) return std::nullopt;
    const auto told = view.told.find(node.id);
    if (told == view.told.end()) return node.last_seen_seconds;
    return *node.last_seen_seconds + seconds_between(told->second, now);
}

json::array nodes_array(const ClusterView& view, Instant now) {
    std::vector<const NodeView*> sorted;
    sorted.reserve(view.nodes.size());
    for (const auto& [id, node] : view.nodes) sorted.push_back(&node);
    std::sort(sorted.begin(), sorted.end(), [](const NodeView* a, const NodeView* b) {
        return std::tie(a->name, a->id) < std::tie(b->name, b->id);
    });
    json::array array;
    array.reserve(sorted.size());
    for (const NodeView* node : sorted) {
        json::value value = to_json(*node);
        value.as_object()["last_seen_seconds"] = to_json(last_seen(view, *node, now));
        array.push_back(std::move(value));
    }
    return array;
}

void add_master(json::object& object, const ClusterView& view, Instant now) {
    object["master"] = to_json(view.master_view);
    object["address"] = view.master;
    object["connected"] = view.connected;
    object["updated_seconds_ago"] = nullptr;
    if (view.updated) object["updated_seconds_ago"] = seconds_between(*view.updated, now);
    object["trouble"] = view.trouble;
}

}  // namespace

std::string nodes_json(const ClusterView& view, Instant now) {
    json::object object;
    object["version"] = 1;
    object["nodes"] = nodes_array(view, now);
    return json::serialize(object);
}

std::string master_json(const ClusterView& view, Instant now) {
    json::object object;
    object["version"] = 1;
    add_master(object, view, now);
    return json::serialize(object);
}

std::string state_json(const ClusterView& view, Instant now) {
    json::object object;
    object["version"] = 1;
    add_master(object, view, now);
    object["nodes"] = nodes_array(view, now);
    return json::serialize(object);
}

}  // namespace rpic
