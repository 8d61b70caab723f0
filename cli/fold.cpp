#include "cli/fold.hpp"

#include <algorithm>
#include <map>

#include "common/selector.hpp"

namespace rpic {

namespace {

const char* holdup_text(Holdup why, bool many) {
    switch (why) {
        case Holdup::lost:
            return many ? "which are lost" : "which is lost";
        case Holdup::silent:
            return many ? "which do not answer" : "which does not answer";
        case Holdup::draining:
            return many ? "which are drained" : "which is drained";
        case Holdup::not_started:
            return many ? "which have not started it" : "which has not started it";
        case Holdup::runs:
            break;
    }
    return many ? "which still run it" : "which still runs it";
}

}  // namespace

std::vector<FoldedOutput> fold_outputs(const std::vector<NodeOutput>& outputs) {
    std::vector<FoldedOutput> folded;
    for (const auto& output : outputs) {
        const auto same = std::find_if(folded.begin(), folded.end(), [&](const auto& other) {
            const auto& first = other.output;
            return !output.cut && !first.cut && first.code == output.code &&
                   first.reason == output.reason && first.out == output.out &&
                   first.err == output.err;
        });
        if (same == folded.end())
            folded.push_back({{output.node}, output});
        else
            same->nodes.push_back(output.node);
    }
    return folded;
}

std::string fold_header(const FoldedOutput& folded) {
    std::string text =
        fold_node_names(folded.nodes) + " (" + std::to_string(folded.nodes.size()) + "):";
    const auto& output = folded.output;
    if (!output.reason.empty())
        text += " " + output.reason;
    else if (output.code != 0)
        text += " exit code " + std::to_string(output.code);
    return text;
}

std::string awaited_text(const std::vector<AwaitedNode>& nodes) {
    std::map<Holdup, std::vector<std::string>> groups;
    for (const auto& awaited : nodes) groups[awaited.why].push_back(awaited.node);
    std::string text;
    for (const auto& [why, names] : groups)
        text += (text.empty() ? "" : ", and for ") + fold_node_names(names) + ", " +
                holdup_text(why, names.size() > 1);
    return text;
}

}  // namespace rpic
