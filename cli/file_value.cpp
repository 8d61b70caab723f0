#include "cli/file_value.hpp"

#include <stdexcept>

namespace {
[[noreturn]] void believe_no_more() {
    throw std::logic_error("nothing that TOML allows");
}
}  // namespace

// The library states what it believes of its input as assertions, and some of them are wrong for
// texts such as "[\a]". Left out (with NDEBUG) they are undefined behaviour, so they always stay
// and throw.
#undef NDEBUG
#define TOML_ASSERT(expression) \
    if (!(expression)) believe_no_more()
#include <toml++/toml.h>

#include <algorithm>
#include <array>
#include <boost/json/stream_parser.hpp>
#include <charconv>
#include <cmath>

#include "common/limits.hpp"
#include "common/text.hpp"

namespace rpic {

namespace {

constexpr int deepest = 4;                   // file, jobs, job, value, element of it
constexpr std::size_t dots_in_a_row = 1000;  // of a dotted key: each one is a table in a table

[[noreturn]] void fail(const std::string& file_name, int line, const std::string& reason) {
    throw SyntaxError(file_place(file_name, line) + reason);
}

/// In the shortest form that means the same, without an exponent.
std::string number_text(double number) {
    std::array<char, 400> text;
    const auto [end, error] =
        std::to_chars(text.data(), text.data() + text.size(), number, std::chars_format::fixed);
    return error == std::errc{} ? std::string(text.data(), end) : "0";
}

void check_text(const std::string& text, const std::string& file_name, int line) {
    if (text.find('\0') != std::string::npos)
        fail(file_name, line, "a text holds a NUL character, which no command can be given");
}

/// What deep nesting would do to the stack of the library's destructors.
void check_dotted_keys(std::string_view text, const std::string& file_name) {
    std::size_t dots = 0;
    int line = 1;
    for (const char c : text) {
        if (c == '.') ++dots;
        if (std::string_view("=\n,{}[]#").find(c) != std::string_view::npos) dots = 0;
        if (c == '\n') ++line;
        if (dots > dots_in_a_row) fail(file_name, line, "a key of too many parts");
    }
}

FileValue from_toml(const toml::node& node, const std::string& file_name, int depth) {
    FileValue value;
    value.line = static_cast<int>(node.source().begin.line);
    if (depth > deepest) fail(file_name, value.line, "tables and lists are nested too deeply");
    if (const auto* text = node.as_string()) {
        value.text = text->get();
        check_text(value.text, file_name, value.line);
    } else if (const auto* integer = node.as_integer()) {
        value.kind = FileValue::Kind::number;
        value.text = std::to_string(integer->get());
    } else if (const auto* real = node.as_floating_point()) {
        value.kind = FileValue::Kind::number;
        if (!std::isfinite(real->get())) fail(file_name, value.line, "a number that is none");
        value.text = number_text(real->get());
    } else if (const auto* toggle = node.as_boolean()) {
        value.kind = FileValue::Kind::toggle;
        value.text = toggle->get() ? "true" : "false";
    } else if (const auto* array = node.as_array()) {
        value.kind = FileValue::Kind::list;
        for (const auto& element : *array)
            value.list.push_back(from_toml(element, file_name, depth + 1));
    } else if (const auto* table = node.as_table()) {
        value.kind = FileValue::Kind::table;
        for (const auto& [key, member] : *table)
            value.table.push_back(
                {std::string(key.str()), from_toml(member, file_name, depth + 1)});
    } else {
        fail(file_name, value.line, "a date or time: no option takes one; put it in quotes");
    }
    return value;
}

FileValue from_json(const boost::json::value& json, const std::string& file_name, int depth) {
    FileValue value;
    if (depth > deepest) fail(file_name, 0, "objects and arrays are nested too deeply");
    switch (json.kind()) {
        case boost::json::kind::string:
            value.text = json.get_string();
            check_text(value.text, file_name, 0);
            break;
        case boost::json::kind::int64:
            value.kind = FileValue::Kind::number;
            value.text = std::to_string(json.get_int64());
            break;
        case boost::json::kind::uint64:
            value.kind = FileValue::Kind::number;
            value.text = std::to_string(json.get_uint64());
            break;
        case boost::json::kind::double_:
            value.kind = FileValue::Kind::number;
            value.text = number_text(json.get_double());
            break;
        case boost::json::kind::bool_:
            value.kind = FileValue::Kind::toggle;
            value.text = json.get_bool() ? "true" : "false";
            break;
        case boost::json::kind::array:
            value.kind = FileValue::Kind::list;
            for (const auto& element : json.get_array())
                value.list.push_back(from_json(element, file_name, depth + 1));
            break;
        case boost::json::kind::object:
            value.kind = FileValue::Kind::table;
            for (const auto& [key, member] : json.get_object())
                value.table.push_back({std::string(key), from_json(member, file_name, depth + 1)});
            break;
        case boost::json::kind::null:
            fail(file_name, 0, "a null: leave the option out instead");
    }
    return value;
}

}  // namespace

std::string file_place(const std::string& file_name, int line) {
    const auto name = printable(file_name, limits::log_text_chars);
    return line > 0 ? name + ':' + std::to_string(line) + ": " : name + ": ";
}

FileValue parse_toml(std::string_view text, const std::string& file_name) {
    check_dotted_keys(text, file_name);
    try {
        return from_toml(toml::parse(text), file_name, 0);
    } catch (const toml::parse_error& error) {
        fail(file_name, static_cast<int>(error.source().begin.line),
             "not TOML: " + printable(error.description(), limits::log_text_chars));
    } catch (const std::logic_error& error) {
        fail(file_name, 0, std::string("not TOML: ") + error.what());
    }
}

FileValue parse_json_file(std::string_view text, const std::string& file_name) {
    boost::json::error_code error;
    boost::json::stream_parser parser;
    // The parser says how far it came, and that says the line.
    const auto read = parser.write_some(text.data(), text.size(), error);
    if (!error) parser.finish(error);
    if (error) {
        const auto end = text.begin() + static_cast<std::ptrdiff_t>(read);
        const auto line = 1 + std::count(text.begin(), end, '\n');
        fail(file_name, static_cast<int>(line), "not JSON: " + error.message());
    }
    return from_json(parser.release(), file_name, 0);
}

}  // namespace rpic
