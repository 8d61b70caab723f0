#include "common/where.hpp"

#include "common/limits.hpp"
#include "common/natural_order.hpp"
#include "common/text.hpp"
#include "common/where_values.hpp"

namespace rpic {

using namespace where_values;

/// Asks one node. The depth of the calls is that of the tree, which the parser bounds.
class WhereReader {
  public:
    WhereReader(const Where& where, const WhereFacts& facts) : where_(where), facts_(facts) {}

    bool holds(int index) const {
        const auto& part = at(index);
        switch (part.kind) {
            case Where::Kind::all:
                for (int i = part.first_child; i >= 0; i = at(i).next)
                    if (!holds(i)) return false;
                return true;
            case Where::Kind::any:
                for (int i = part.first_child; i >= 0; i = at(i).next)
                    if (holds(i)) return true;
                return false;
            case Where::Kind::negation:
                return !holds(part.first_child);
            case Where::Kind::is_set:
                return is_set(value_of(part));
            case Where::Kind::comparison:
                return compare(part, value_of(part));
        }
        return false;
    }

    /// Why a part that does not hold does not.
    std::string why_not(int index) const {
        const auto& part = at(index);
        switch (part.kind) {
            case Where::Kind::all:
                for (int i = part.first_child; i >= 0; i = at(i).next)
                    if (!holds(i)) return why_not(i);
                return {};
            case Where::Kind::any: {
                std::string reasons;
                for (int i = part.first_child; i >= 0; i = at(i).next) {
                    if (!reasons.empty()) reasons += ", and ";
                    reasons += why_not(i);
                    if (reasons.size() > limits::text_chars) break;
                }
                return reasons;
            }
            case Where::Kind::negation:
                return why_not_negated(part);
            case Where::Kind::is_set: {
                const auto value = shown(value_of(part));
                return printable(part.name, quoted_chars) + " is " + value +
                       (value == "not set" ? "" : ", which counts as not set");
            }
            case Where::Kind::comparison:
                return why_not_compared(part);
        }
        return {};
    }

  private:
    const Where::Part& at(int index) const {
        return where_.parts_[static_cast<std::size_t>(index)];
    }

    Value value_of(const Where::Part& part) const {
        if (facts_.labels != nullptr)
            if (const auto label = facts_.labels->find(part.name); label != facts_.labels->end())
                return text_value(label->second);
        if (part.fact >= 0) return fact_value(facts_, static_cast<Fact>(part.fact));
        if (facts_.resources != nullptr)
            if (const auto resource = facts_.resources->find(part.name);
                resource != facts_.resources->end())
                return number_value(static_cast<double>(resource->second));
        return {};
    }

    static bool is_set(const Value& value) {
        if (value.number) return *value.number != 0;
        return !value.text.empty() && value.text != "false" && value.text != "no";
    }

    static bool compare(const Where::Part& part, const Value& value) {
        int order = 0;
        if (value.number && part.number) {
            order = *value.number < *part.number ? -1 : *value.number > *part.number ? 1 : 0;
        } else {
            NumberText space;
            order = natural_compare(as_text(value, space), part.value);
        }
        switch (part.op) {
            case Where::Operator::equal:
                return order == 0;
            case Where::Operator::unequal:
                return order != 0;
            case Where::Operator::less:
                return order < 0;
            case Where::Operator::at_most:
                return order <= 0;
            case Where::Operator::more:
                return order > 0;
            case Where::Operator::at_least:
                return order >= 0;
        }
        return false;
    }

    std::string why_not_compared(const Where::Part& part) const {
        const auto wanted = part.value.empty() ? std::string("the empty text")
                                               : printable(part.value, quoted_chars);
        const auto start =
            printable(part.name, quoted_chars) + " is " + shown(value_of(part)) + ", ";
        switch (part.op) {
            case Where::Operator::equal:
                return start + "not " + wanted;
            case Where::Operator::unequal:
                return start + "which is excluded";
            case Where::Operator::less:
                return start + "not less than " + wanted;
            case Where::Operator::at_most:
                return start + "more than " + wanted;
            case Where::Operator::more:
                return start + "not more than " + wanted;
            case Where::Operator::at_least:
                return start + "less than " + wanted;
        }
        return start;
    }

    std::string why_not_negated(const Where::Part& part) const {
        const auto& inner = at(part.first_child);
        const auto written = printable(
            std::string_view(where_.text_).substr(inner.begin, inner.end - inner.begin), 100);
        if (inner.kind == Where::Kind::is_set)
            return printable(inner.name, quoted_chars) + " is " + shown(value_of(inner)) +
                   ", and must not be set";
        return written + " is true, and must not be";
    }

    const Where& where_;
    const WhereFacts& facts_;
};

bool Where::matches(const WhereFacts& facts) const {
    return root_ < 0 || WhereReader(*this, facts).holds(root_);
}

std::string Where::explain_mismatch(const WhereFacts& facts) const {
    if (matches(facts)) return {};
    return printable(WhereReader(*this, facts).why_not(root_), limits::text_chars);
}

}  // namespace rpic
