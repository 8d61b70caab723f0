#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/syntax_error.hpp"

/// How people choose several things at once: jobs and tasks by number, nodes by name.
namespace rpic {

/// "1,3,5-8", "last", "all" (also the empty text). What "last" is, the caller knows.
class NumberSelector {
  public:
    struct Range {
        std::int64_t first = 0;
        std::int64_t last = 0;
        bool operator==(const Range&) const = default;
    };

    /// Throws SyntaxError, also beyond limits::selector_ranges and limits::array_index.
    static NumberSelector parse(std::string_view text);

    bool all() const { return all_; }
    bool last() const { return last_; }
    /// Ascending and apart; empty for "all" and for "last" alone.
    const std::vector<Range>& ranges() const { return ranges_; }
    /// Whether the number is in a range, or all are chosen.
    bool contains(std::int64_t number) const;
    /// The one number that was chosen, or -1.
    std::int64_t single() const;

  private:
    bool all_ = false;
    bool last_ = false;
    std::vector<Range> ranges_;
};

/// Names of nodes: "pi[1-4],web,rack[1-2]n[01-12]", or "all".
struct NodeSet {
    bool all = false;
    std::vector<std::string> names;  // in the order written, each once

    /// Throws SyntaxError, also for more than limits::nodes names.
    static NodeSet parse(std::string_view text);
};

struct NodeChoice {
    std::vector<std::string> names;    // of `known`, in its order
    std::vector<std::string> unknown;  // wanted by name, but there is no such node
};

/// The known nodes that are wanted and not excluded. To exclude an unknown one is no mistake.
NodeChoice choose_nodes(const NodeSet& wanted, const NodeSet& excluded,
                        const std::vector<std::string>& known);

/// The shortest form of names that NodeSet::parse understands: "pi[1-4],web".
std::string fold_node_names(std::vector<std::string> names);

}  // namespace rpic
