#pragma once

#include <optional>
#include <string>
#include <vector>

namespace rpic {

/// What `exec` got from one node.
struct NodeOutput {
    std::string node;
    int code = 0;        // as run would exit
    std::string reason;  // where there is more to say than the code
    std::string out;     // stdout
    std::string err;     // stderr, and the cluster's notes
    bool cut = false;    // it printed more than is kept here
};

/// Nodes that gave the same.
struct FoldedOutput {
    std::vector<std::string> nodes;
    NodeOutput output;  // of the first of them
};

/// Puts nodes with the same code and output together, in the order of their first ones. Pure. What
/// was cut is equal to nothing.
std::vector<FoldedOutput> fold_outputs(const std::vector<NodeOutput>& outputs);

/// "pi[1,3,4] (3):", and why there is a code other than 0.
std::string fold_header(const FoldedOutput& folded);

/// What keeps a node from ending its task.
enum class Holdup { lost, silent, draining, not_started, runs };

struct AwaitedNode {
    std::string node;
    Holdup why = Holdup::runs;
};

/// "pi2, which is lost, and for pi[3,4], which still run it". Pure.
std::string awaited_text(const std::vector<AwaitedNode>& nodes);

}  // namespace rpic
