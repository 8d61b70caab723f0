#include "master/core/node.hpp"

#include <algorithm>

namespace rpic {

std::string_view state_name(NodeState state) {
    switch (state) {
        case NodeState::online:
            return "online";
        case NodeState::suspect:
            return "suspect";
        case NodeState::lost:
            return "lost";
    }
    return "";
}

std::map<std::string, std::string> labels_of(const NodeRecord& record) {
    auto labels = record.labels;
    for (const auto& [key, value] : record.set_labels)
        if (value.empty())
            labels.erase(key);
        else
            labels[key] = value;
    return labels;
}

NodeView view_of(const Node& node, Instant now) {
    const auto& record = node.record;
    NodeView view;
    view.id = record.id;
    view.name = record.name;
    view.state = state_name(node.state);
    view.unwell = node.health.reasons();
    view.role = record.role;
    view.plain = node.plain;
    view.address = node.address;
    view.hostname = record.machine.hostname;
    view.arch = record.machine.arch;
    view.kernel_arch = record.machine.kernel_arch;
    view.cpu = record.machine.cpu;
    view.board = record.machine.board;
    view.serial = record.machine.serial;
    view.cpu_cores = record.machine.cpu_cores;
    view.ram_bytes = record.machine.ram_bytes;
    view.os = record.machine.os;
    view.kernel = record.machine.kernel;
    view.version = record.version;
    view.cpus = record.cpus;
    view.memory_bytes = record.memory_bytes;
    view.labels = labels_of(record);
    view.resources = record.resources;
    view.isolation = record.isolation;
    view.draining = record.draining;
    view.quarantined = !record.quarantine.empty();
    if (view.quarantined) view.unwell.push_back("in quarantine: " + record.quarantine);
    view.vitals = node.vitals;
    view.reconnects = std::max<std::int64_t>(node.connections - 1, 0);
    if (node.last_heard) view.last_seen_seconds = to_seconds(now - *node.last_heard);
    return view;
}

}  // namespace rpic
