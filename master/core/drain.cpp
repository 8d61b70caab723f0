#include "master/core/jobs.hpp"

/// A node that gets no new work, and what may follow once it is empty: a reboot, or its end.
namespace rpic {

void Cluster::set_draining(std::string_view id, bool draining, Effects& effects, Duration time) {
    Node& node = *nodes_.at(std::string(id));
    const auto before = node.record;
    node.record.draining = draining;
    node.record.drain_seconds = draining ? to_seconds(time) : 0;
    if (!draining) {
        node.record.power.clear();
        node.record.power_boot.clear();
    }
    if (node.record == before) return;
    if (before.draining != draining)
        effects.push_back(Happened{
            draining ? "node_draining" : "node_undrained", node.record.name, 0, std::nullopt,
            "node " + node.record.name + (draining ? " gets no new work" : " gets work again")});
    changed(node, effects);
}

/// A task that somebody starts there later is not for another start of the master to move.
void Cluster::drain_time_over(std::string_view id, Effects& effects) {
    Node& node = *nodes_.at(std::string(id));
    if (node.record.drain_seconds == 0) return;
    node.record.drain_seconds = 0;
    effects.push_back(SaveNode{node.record});
}

void Cluster::set_power(std::string_view id, std::string_view action, std::string_view boot,
                        Effects& effects) {
    auto& record = nodes_.at(std::string(id))->record;
    if (record.power == action && record.power_boot == boot) return;
    record.power = action;
    record.power_boot = boot;
    effects.push_back(SaveNode{record});
}

void Cluster::on_power_taken(SessionId session, std::string_view action, Effects& effects) {
    const Node* node = node_of(session);
    // Meanwhile somebody may have asked for the other one.
    if (node == nullptr || node->record.power.empty() || node->record.power != action) return;
    set_power(node->record.id, "", "", effects);
}

void Jobs::on_drain(const Node& node, std::optional<Instant> deadline, Effects& effects) {
    const auto found = workers_.find(node.record.id);
    if (found == workers_.end()) return;
    found->second.drain_deadline = deadline;
    if (node.record.draining) retract_ahead(found->second, found->second.ahead.size(), effects);
    something_new_ = true;
}

void Jobs::power(const Node& node, std::string_view action, Effects& effects) {
    cluster_.set_power(node.record.id, action, "", effects);
    auto& worker = worker_for(node);
    worker.power_ordered = false;
    finish_drain(worker, effects);
}

/// A drained node may go. Whether the order arrives nobody knows before the node says so, or has
/// booted: one that comes back without either gets it again, also from a master that has restarted.
void Jobs::finish_drain(Worker& worker, Effects& effects) {
    if (worker.session == 0 || worker.power_ordered || !worker.attempts.empty()) return;
    const Node& node = *worker.node;
    const std::string action = node.record.power;
    if (action.empty()) return;
    worker.power_ordered = true;
    cluster_.set_power(node.record.id, action, node.boot_id, effects);
    effects.push_back(OrderPower{worker.session, action});
}

}  // namespace rpic
