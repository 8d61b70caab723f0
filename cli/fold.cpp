#include "cli/fold.hpp"

#include <algorithm>

#include "common/selector.hpp"

namespace rpic {

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

}  // namespace rpic
