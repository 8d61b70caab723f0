#include "common/selector.hpp"

#include <algorithm>
#include <charconv>
#include <map>
#include <optional>
#include <set>
#include <tuple>

#include "common/limits.hpp"
#include "common/natural_order.hpp"
#include "common/text.hpp"

namespace rpic {

namespace {

constexpr std::size_t part_chars = 40;       // of the text, in messages
constexpr std::size_t name_digits_max = 15;  // more digits in a row are no number of a node

bool starts_number(char c) {
    return c >= '0' && c <= '9';
}

std::string part_in_quotes(std::string_view text) {
    return '"' + printable(text, part_chars) + '"';
}

/// The number that all of `text` is, up to `max`.
std::optional<std::int64_t> whole_number(std::string_view text, std::int64_t max) {
    std::int64_t value = 0;
    if (text.empty() || !starts_number(text[0])) return std::nullopt;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size() || value > max)
        return std::nullopt;
    return value;
}

/// "5" or "5-8".
std::optional<NumberSelector::Range> parse_range(std::string_view text) {
    const auto dash = text.find('-');
    const auto first = whole_number(trim(text.substr(0, dash)), limits::array_index);
    const auto last = dash == std::string_view::npos
                          ? first
                          : whole_number(trim(text.substr(dash + 1)), limits::array_index);
    if (!first || !last || *last < *first) return std::nullopt;
    return NumberSelector::Range{*first, *last};
}

/// Sorts ranges and joins those that touch.
void merge(std::vector<NumberSelector::Range>& ranges) {
    std::sort(ranges.begin(), ranges.end(),
              [](const auto& a, const auto& b) { return a.first < b.first; });
    std::size_t used = 0;
    for (const auto range : ranges) {
        if (used > 0 && range.first <= ranges[used - 1].last + 1)
            ranges[used - 1].last = std::max(ranges[used - 1].last, range.last);
        else
            ranges[used++] = range;
    }
    ranges.resize(used);
}

/// Expands one part of a node set, "rack[1-2]n[01-12]", into `names`.
class NamePattern {
  public:
    NamePattern(std::string_view pattern, std::size_t room) : pattern_(pattern), room_(room) {}

    std::vector<std::string> expand() const {
        std::vector<std::string> names = {""};
        std::string_view rest = pattern_;
        while (!rest.empty()) {
            const auto open = std::min(rest.find('['), rest.size());
            if (rest.find(']') < open) fail("has a ] without a [ before it");
            if (names[0].size() + open > limits::name_chars) fail("is longer than a name can be");
            for (auto& name : names) name += rest.substr(0, open);
            rest.remove_prefix(open);
            if (rest.empty()) break;
            const auto close = rest.find(']');
            if (close == std::string_view::npos) fail("lacks a ] behind its [");
            names = product(names, numbers(rest.substr(1, close - 1)));
            rest.remove_prefix(close + 1);
        }
        check_room(names.size());
        return names;
    }

  private:
    [[noreturn]] void fail(const std::string& reason) const {
        throw SyntaxError("the node name " + part_in_quotes(pattern_) + ' ' + reason +
                          " (names look like web, pi[1-4] or pi[01-12,20])");
    }

    void check_room(std::size_t count) const {
        if (count > room_)
            fail("makes more than " + std::to_string(limits::nodes) + " names, the most there are");
    }

    std::vector<std::string> product(const std::vector<std::string>& starts,
                                     const std::vector<std::string>& ends) const {
        check_room(starts.size() * ends.size());
        std::vector<std::string> names;
        names.reserve(starts.size() * ends.size());
        for (const auto& start : starts)
            for (const auto& end : ends) names.push_back(start + end);
        return names;
    }

    /// "1-4,07,09-12" as texts; a first number with leading zeros says how many digits all have.
    std::vector<std::string> numbers(std::string_view list) const {
        std::vector<std::string> texts;
        for (const auto& part : split(list, ',')) {
            const auto dash = std::min(part.find('-'), part.size());
            const auto first_text = trim(std::string_view(part).substr(0, dash));
            const auto range = parse_range(part);
            if (!range) fail("has no numbers in its brackets: " + part_in_quotes(part));
            const std::size_t width = first_text[0] == '0' ? first_text.size() : 1;
            if (width > name_digits_max) fail("has a number of too many digits");
            check_room(texts.size() + static_cast<std::size_t>(range->last - range->first) + 1);
            for (auto number = range->first; number <= range->last; ++number) {
                std::string text = std::to_string(number);
                texts.push_back(std::string(width - std::min(width, text.size()), '0') + text);
            }
        }
        if (texts.empty()) fail("has nothing in its brackets");
        return texts;
    }

    std::string_view pattern_;
    std::size_t room_;
};

/// Cuts at the commas that are not in brackets.
std::vector<std::string_view> split_patterns(std::string_view text) {
    std::vector<std::string_view> patterns;
    bool inside = false;
    std::size_t begin = 0;
    for (std::size_t i = 0; i <= text.size(); ++i) {
        if (i < text.size() && text[i] == '[') inside = true;
        if (i < text.size() && text[i] == ']') inside = false;
        if (i < text.size() && (text[i] != ',' || inside)) continue;
        const auto pattern = trim(text.substr(begin, i - begin));
        if (!pattern.empty()) patterns.push_back(pattern);
        begin = i + 1;
    }
    return patterns;
}

/// A name taken apart around its last number.
struct NumberedName {
    std::string before;
    std::string digits;
    std::string after;
};

std::optional<NumberedName> take_apart(const std::string& name) {
    std::size_t end = name.size();
    while (end > 0 && !starts_number(name[end - 1])) --end;
    std::size_t begin = end;
    while (begin > 0 && starts_number(name[begin - 1])) --begin;
    if (begin == end || end - begin > name_digits_max) return std::nullopt;
    // An index must be one that parse takes back.
    if (!whole_number(name.substr(begin, end - begin), limits::array_index)) return std::nullopt;
    return NumberedName{name.substr(0, begin), name.substr(begin, end - begin), name.substr(end)};
}

/// Numbers of one group of names, as they are written in brackets or, if it is one, without them.
std::string fold_numbers(const std::set<std::pair<std::int64_t, std::string>>& numbers) {
    if (numbers.size() == 1) return numbers.begin()->second;
    std::string list;
    for (auto it = numbers.begin(); it != numbers.end();) {
        const auto first = it;
        auto last = it;
        for (++it; it != numbers.end() && it->first == last->first + 1; ++it) last = it;
        if (!list.empty()) list += ',';
        list += first->second;
        if (first != last) list += (last->first == first->first + 1 ? ',' : '-') + last->second;
    }
    return '[' + list + ']';
}

}  // namespace

NumberSelector NumberSelector::parse(std::string_view text) {
    NumberSelector selector;
    const auto parts = split(text, ',');
    selector.all_ = parts.empty();
    for (const auto& part : parts) {
        if (part == "all") {
            selector.all_ = true;
        } else if (part == "last") {
            selector.last_ = true;
        } else if (const auto range = parse_range(part)) {
            selector.ranges_.push_back(*range);
        } else {
            throw SyntaxError(part_in_quotes(part) +
                              " chooses nothing: expected are numbers and ranges such as 1,3,5-8, "
                              "\"last\" or \"all\"");
        }
        if (selector.ranges_.size() > limits::selector_ranges)
            throw SyntaxError("more than " + std::to_string(limits::selector_ranges) +
                              " numbers and ranges at once: choose in several steps");
    }
    if (selector.all_) {
        selector.last_ = false;
        selector.ranges_.clear();
    }
    merge(selector.ranges_);
    return selector;
}

bool NumberSelector::contains(std::int64_t number) const {
    if (all_) return true;
    const auto behind = std::upper_bound(ranges_.begin(), ranges_.end(), number,
                                         [](auto n, const Range& r) { return n < r.first; });
    return behind != ranges_.begin() && number <= std::prev(behind)->last;
}

std::int64_t NumberSelector::single() const {
    const bool one = !all_ && !last_ && ranges_.size() == 1 && ranges_[0].first == ranges_[0].last;
    return one ? ranges_[0].first : -1;
}

NodeSet NodeSet::parse(std::string_view text) {
    NodeSet set;
    std::set<std::string> seen;
    for (const auto pattern : split_patterns(text)) {
        if (pattern == "all") {
            set.all = true;
            continue;
        }
        for (auto& name : NamePattern(pattern, limits::nodes - set.names.size()).expand())
            if (seen.insert(name).second) set.names.push_back(std::move(name));
    }
    return set;
}

NodeChoice choose_nodes(const NodeSet& wanted, const NodeSet& excluded,
                        const std::vector<std::string>& known) {
    NodeChoice choice;
    const std::set<std::string> in(wanted.names.begin(), wanted.names.end());
    const std::set<std::string> out(excluded.names.begin(), excluded.names.end());
    const std::set<std::string> there(known.begin(), known.end());
    for (const auto& name : known)
        if ((wanted.all || in.contains(name)) && !excluded.all && !out.contains(name))
            choice.names.push_back(name);
    for (const auto& name : wanted.names)
        if (!there.contains(name) && !out.contains(name)) choice.unknown.push_back(name);
    return choice;
}

std::string fold_node_names(std::vector<std::string> names) {
    std::sort(names.begin(), names.end(),
              [](const auto& a, const auto& b) { return natural_compare(a, b) < 0; });
    // Names with leading zeros make a group with those of as many digits: pi[08-11]. All others of
    // the same beginning and end make one, whatever their digits: pi[8-11].
    using Group = std::tuple<std::string, std::string, std::size_t>;
    std::set<Group> padded;
    for (const auto& name : names)
        if (const auto parts = take_apart(name); parts && parts->digits.size() > 1)
            if (parts->digits[0] == '0')
                padded.emplace(parts->before, parts->after, parts->digits.size());
    std::map<Group, std::set<std::pair<std::int64_t, std::string>>> groups;
    std::vector<std::pair<Group, bool>> order;  // as they first occur; whether it has a number
    for (const auto& name : names) {
        const auto parts = take_apart(name);
        Group group{parts ? parts->before : name, parts ? parts->after : "",
                    parts ? parts->digits.size() : 0};
        if (parts && !padded.contains(group)) std::get<2>(group) = 0;
        const bool numbered = parts.has_value();
        if (!numbered && (order.empty() || order.back() != std::pair(group, false)))
            order.emplace_back(group, false);
        if (!numbered) continue;
        auto& numbers = groups[group];
        if (numbers.empty()) order.emplace_back(group, true);
        numbers.emplace(std::stoll(parts->digits), parts->digits);
    }
    std::string folded;
    for (const auto& [group, numbered] : order) {
        if (!folded.empty()) folded += ',';
        folded += std::get<0>(group);
        if (numbered) folded += fold_numbers(groups[group]) + std::get<1>(group);
    }
    return folded;
}

}  // namespace rpic
