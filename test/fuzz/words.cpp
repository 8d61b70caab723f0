#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "common/array_range.hpp"
#include "common/glob.hpp"
#include "common/item_template.hpp"
#include "common/limits.hpp"
#include "common/selector.hpp"
#include "common/text.hpp"
#include "common/utf8.hpp"
#include "test/fuzz/targets.hpp"

namespace rpic::fuzz {

namespace {

/// The part before the first line feed, which is taken off with it.
std::string take_line(std::string_view& input) {
    const auto end = std::min(input.find('\n'), input.size());
    std::string line(input.substr(0, end));
    input.remove_prefix(std::min(end + 1, input.size()));
    return line;
}

void read_array(std::string_view text) {
    const auto range = ArrayRange::parse(text);
    auto again = ArrayRange::parse(range.text());
    if (range.size() == 1) again.step = range.step;  // of one task it means nothing
    expect(again == range, "a range changes when it is written");
    expect(range.size() >= 1 && range.size() <= limits::tasks_per_job, "too many tasks");
    expect(range.index(0) == range.first, "the first task is not the first");
    expect(range.index(range.size() - 1) == range.last, "the last task is not the last");
    for (const auto position : {std::int64_t{0}, range.size() / 2, range.size() - 1})
        expect(range.position(range.index(position)) == position, "a task is elsewhere");
    expect(!range.position(range.first - 1) && !range.position(range.last + 1), "a task beyond");
}

void read_numbers(std::string_view text) {
    const auto selector = NumberSelector::parse(text);
    std::int64_t before = -2;
    for (const auto& range : selector.ranges()) {
        expect(range.first > before + 1, "ranges that touch");
        expect(range.last >= range.first, "a range of nothing");
        expect(selector.contains(range.first) && selector.contains(range.last), "not chosen");
        if (!selector.all()) expect(!selector.contains(range.last + 1), "chosen by nobody");
        before = range.last;
    }
}

void read_nodes(std::string_view text) {
    const auto set = NodeSet::parse(text);
    expect(set.names.size() <= limits::nodes, "more names than nodes");
    constexpr std::size_t few = 1000;  // what follows takes longer than what is looked at
    if (set.names.size() > few) return;
    const std::set<std::string> names(set.names.begin(), set.names.end());
    expect(names.size() == set.names.size(), "a name twice");
    // Only such names does a node have.
    for (const auto& name : names)
        if (node_name(name) != name || name == "all") return;
    const auto again = NodeSet::parse(fold_node_names(set.names));
    expect(std::set<std::string>(again.names.begin(), again.names.end()) == names,
           "other nodes when the names are folded");
}

void fill_in(std::string_view input) {
    const bool shell = take_byte(input) % 2 == 0;
    const auto item = take_line(input);
    const auto command = with_item_mark({take_line(input), std::string(input)}, shell);
    expect(has_item_mark(command), "an item without a place");
    const auto filled = expand_item(command, shell, item, 7);
    expect(filled.size() == command.size(), "more or fewer words than before");
}

void match(std::string_view input) {
    const auto pattern = take_line(input);
    const auto path = take_line(input);
    if (!glob_problem(pattern).empty()) return expect_one_line(glob_problem(pattern));
    const Globs globs({pattern});
    const bool matches = globs.matches(path);
    const auto walk = globs.begin();
    expect(!walk.matched || pattern.find("**") != std::string::npos, "the folder itself matches");
    expect(Globs({pattern, pattern}).matches(path) == matches, "twice is not once");
}

void read_text(std::string_view input) {
    for (const std::size_t most : {std::size_t{3}, std::size_t{16}, std::size_t{200}}) {
        const auto text = printable(input, most);
        expect(text.size() <= most + 3, "a text that was not cut");  // and "..."
        expect(is_utf8(text), "broken UTF-8 that people see");
        expect(printable(text, most + 3) == text, "a text that could be seen is changed");
        for (const auto c : text)
            expect(static_cast<unsigned char>(c) >= ' ' && c != 0x7f, "a control character");
    }
    const auto name = node_name(input);
    expect(name.size() <= limits::name_chars && node_name(name) == name, "a name that is none");
    if (const auto size = parse_size(input)) expect(*size >= 0, "a negative size");
    if (const auto size = parse_size(input)) expect(!format_size(*size).empty(), "no size");
    if (const auto time = parse_duration(input)) expect(time->count() >= 0, "a negative time");
    parse_bool(input);
    if (const auto place = parse_host_port(input, 7)) {
        const auto again = parse_host_port(format_host_port(place->host, place->port), 7);
        expect(again && again->host == place->host && again->port == place->port,
               "another address when it is written");
    }
}

}  // namespace

/// Small texts that people write: what chooses tasks, jobs, nodes and files, marks of items, sizes,
/// times, names. The first byte says which.
void fuzz_words(std::string_view input) {
    const auto which = take_byte(input) % 6;
    try {
        if (which == 0) read_array(input);
        if (which == 1) read_numbers(input);
        if (which == 2) read_nodes(input);
        if (which == 3) fill_in(input);
        if (which == 4) match(input);
        if (which == 5) read_text(input);
    } catch (const SyntaxError& error) {
        expect_one_line(error.what());
    }
}

}  // namespace rpic::fuzz
