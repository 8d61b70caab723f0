#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/syntax_error.hpp"

/// `--where`: on which nodes a job may run, as an expression over their labels and facts.
///
///     arch==arm64 && ram>=2G && !(role_of_board == "living room" || hot)
///
///     expression = and { "||" and }
///     and        = not { "&&" not }
///     not        = "!" not | "(" expression ")" | NAME [ OPERATOR VALUE ]
///     OPERATOR   = "==" "!=" "<" "<=" ">" ">="
///
/// NAME and VALUE are words: quoted with " or ', or bare, of any characters but white space and
/// those of the operators and quotes. A name means a label of the node, else a fact, else one of
/// its named resources, else the empty text. Facts: name, hostname, role, version, arch,
/// kernel_arch, os, kernel, cpu (the model), cores or cpu_cores, cpus, ram or ram_bytes, memory or
/// memory_bytes, temperature or temperature_c, load or load_1m, cpu_percent.
///
/// Two numbers are compared as numbers (2G is one, and so is 1.5KiB). Else both sides are texts:
/// == and != are exact, the order is that of the characters, except that runs of digits count by
/// their value (6.9 comes before 6.10), and the empty text comes first. A name alone is true unless
/// it is empty, 0, false or no.
namespace rpic {

/// An expression that does not follow the grammar. `what()` names the column, too.
class WhereError : public SyntaxError {
  public:
    WhereError(std::size_t column, const std::string& reason)
        : SyntaxError("column " + std::to_string(column) + ": " + reason), column_(column) {}
    std::size_t column() const { return column_; }  // of the expression, the first one is 1

  private:
    std::size_t column_;
};

/// What an expression may ask about one node. Only views: they must outlive the call.
struct WhereFacts {
    std::string_view name;
    std::string_view hostname;
    std::string_view role;
    std::string_view version;
    std::string_view arch;
    std::string_view kernel_arch;
    std::string_view os;
    std::string_view kernel;
    std::string_view cpu;
    std::int64_t cpu_cores = 0;
    std::int64_t cpus = 0;  // offered to jobs
    std::int64_t ram_bytes = 0;
    std::int64_t memory_bytes = 0;  // offered to jobs
    std::optional<double> temperature_c;
    std::optional<double> load_1m;
    std::optional<double> cpu_percent;
    const std::map<std::string, std::string>* labels = nullptr;
    const std::map<std::string, std::int64_t>* resources = nullptr;
};

/// A compiled expression. Matching allocates nothing: it runs for every node and kind of job.
class Where {
  public:
    /// True for every node.
    Where() = default;
    /// An empty text is true for every node. Throws WhereError, also beyond limits::where_chars and
    /// limits::where_depth.
    static Where parse(std::string_view text);

    bool matches(const WhereFacts& facts) const;
    /// The first part that a node does not meet, in words: "arch is amd64, not arm64", "ram is
    /// 1.0G, less than 2G". Empty if the node matches.
    std::string explain_mismatch(const WhereFacts& facts) const;
    /// Whether it asks about what changes with every heartbeat: temperature, load, cpu_percent.
    bool asks_vitals() const { return asks_vitals_; }
    bool empty() const { return parts_.empty(); }
    const std::string& text() const { return text_; }  // as it was written

  private:
    friend class WhereParser;
    friend class WhereReader;
    enum class Kind : unsigned char { all, any, negation, is_set, comparison };
    enum class Operator : unsigned char { equal, unequal, less, at_most, more, at_least };

    /// One node of the tree. Children of all, any and negation are a chain of siblings, so that a
    /// long row of && is flat and the depth is bounded by that of the parentheses.
    struct Part {
        Kind kind = Kind::all;
        Operator op = Operator::equal;
        int fact = -1;  // which one the name means where no label has it; -1: a resource
        int first_child = -1;
        int next = -1;
        std::size_t begin = 0;  // in text_
        std::size_t end = 0;
        std::string name;
        std::string value;
        std::optional<double> number;  // of the value
    };

    std::string text_;
    std::vector<Part> parts_;
    int root_ = -1;
    bool asks_vitals_ = false;
};

}  // namespace rpic
