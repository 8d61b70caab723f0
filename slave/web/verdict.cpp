#include "slave/web/verdict.hpp"

#include <algorithm>
#include <vector>

#include "common/natural_order.hpp"

namespace rpic {

namespace {

std::string count_of(std::size_t number, const std::string& one) {
    return std::to_string(number) + ' ' + one + (number == 1 ? "" : "s");
}

/// "pi1, pi2 and 3 more".
std::string names_of(std::vector<std::string> names) {
    std::sort(names.begin(), names.end(),
              [](const auto& a, const auto& b) { return natural_compare(a, b) < 0; });
    constexpr std::size_t named = 3;
    std::string text;
    for (std::size_t i = 0; i < std::min(named, names.size()); ++i)
        text += (i == 0 ? "" : ", ") + names[i];
    if (names.size() > named) text += " and " + std::to_string(names.size() - named) + " more";
    return text;
}

std::string is_or_are(const std::vector<std::string>& names) {
    return names_of(names) + (names.size() == 1 ? " is " : " are ");
}

std::string work_text(const ClusterView& view) {
    std::int64_t running = 0;
    std::int64_t queued = 0;
    for (const auto& [id, job] : view.jobs)
        for (const auto& [state, count] : job.tasks) {
            if (state == "running") running += count;
            if (state == "queued" && job.state != "held") queued += count;
        }
    std::string text;
    if (running > 0)
        text += ", " + count_of(static_cast<std::size_t>(running), "task") + " running";
    if (queued > 0) text += ", " + std::to_string(queued) + " waiting";
    return text;
}

}  // namespace

PageVerdict verdict_of(const ClusterView& view) {
    if (!view.connected) {
        if (!view.updated) return {"waiting", "Waiting for the master."};
        return {"bad", "The webserver has lost the master; this is what it knew last."};
    }
    std::vector<std::string> online;
    std::vector<std::string> silent;
    std::vector<std::string> lost;
    std::vector<std::string> unwell;
    std::string why;
    for (const auto& [id, node] : view.nodes) {
        if (node.state == "lost") lost.push_back(node.name);
        if (node.state == "suspect") silent.push_back(node.name);
        if (node.state != "online") continue;
        if (node.role != "webserver") online.push_back(node.name);
        if (node.unwell.empty()) continue;
        unwell.push_back(node.name);
        why = node.unwell.front();
    }
    if (!lost.empty()) return {"bad", is_or_are(lost) + "lost" + work_text(view) + "."};
    if (!silent.empty())
        return {"warning", is_or_are(silent) + "not answering" + work_text(view) + "."};
    if (!unwell.empty()) {
        const auto reason = unwell.size() == 1 ? ": " + why : std::string();
        return {"warning", is_or_are(unwell) + "unwell" + reason + work_text(view) + "."};
    }
    if (online.empty()) return {"waiting", "No nodes yet."};
    return {"good",
            "All well: " + count_of(online.size(), "node") + " online" + work_text(view) + "."};
}

}  // namespace rpic
