#include "cli/demo_report.hpp"

#include <algorithm>

#include "common/natural_order.hpp"
#include "common/selector.hpp"

namespace rpic {

std::vector<DemoShare> demo_shares(const std::vector<TaskView>& tasks) {
    std::map<std::string, DemoShare> by_node;
    for (const auto& task : tasks) {
        if (task.state != "done") continue;
        auto& share = by_node[task.node];
        share.node = task.node;
        ++share.tiles;
        share.seconds += task.duration_seconds.value_or(0);
        share.one_tile = task.index;
    }
    std::vector<DemoShare> shares;
    for (auto& [node, share] : by_node) shares.push_back(std::move(share));
    std::sort(shares.begin(), shares.end(), [](const DemoShare& a, const DemoShare& b) {
        return natural_compare(a.node, b.node) < 0;
    });
    return shares;
}

DemoNodes demo_nodes(const std::vector<NodeView>& nodes,
                     const std::map<std::string, std::string>& programs) {
    DemoNodes result;
    std::map<std::string, std::vector<std::string>> without;
    for (const auto& node : nodes) {
        const bool works = node.role == "worker" && !node.plain && node.state == "online" &&
                           !node.draining && !node.quarantined;
        if (!works) continue;
        if (!programs.contains(node.arch)) {
            without[node.arch].push_back(node.name);
            continue;
        }
        ++result.count;
        auto& known = result.architectures;
        if (std::find(known.begin(), known.end(), node.arch) == known.end())
            known.push_back(node.arch);
    }
    std::sort(result.architectures.begin(), result.architectures.end());
    for (const auto& [arch, names] : without) {
        if (!result.left_out.empty()) result.left_out += ", ";
        result.left_out += arch + " (" + fold_node_names(names) + ")";
    }
    return result;
}

std::string demo_where(const std::vector<std::string>& architectures) {
    std::string expression;
    for (const auto& arch : architectures)
        expression += (expression.empty() ? "arch==" : " || arch==") + arch;
    return expression;
}

}  // namespace rpic
