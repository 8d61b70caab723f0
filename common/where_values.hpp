#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "common/where.hpp"

/// The words of `--where` that mean a fact, and values as they are compared: for where.cpp and
/// where_parser.cpp alone.
namespace rpic::where_values {

/// What a node tells about itself and expressions may ask.
enum class Fact {
    name,
    hostname,
    role,
    version,
    arch,
    kernel_arch,
    os,
    kernel,
    cpu,
    cpu_cores,
    cpus,
    ram_bytes,
    memory_bytes,
    temperature_c,
    load_1m,
    cpu_percent,
};

/// Nothing if the word names no fact.
std::optional<Fact> find_fact(std::string_view word);
bool changes_with_heartbeats(Fact fact);

/// "-3", "1.5", "2G", "512KiB" as a number; nothing for any other text.
std::optional<double> to_number(std::string_view text);

/// What a name means for one node.
struct Value {
    std::string_view text;         // of a number only once as_text() has written it
    std::optional<double> number;  // what it is, or what its text says
    bool is_text = true;
    bool is_bytes = false;
};

Value text_value(std::string_view text);
Value number_value(std::optional<double> number);  // nothing: the empty text
Value fact_value(const WhereFacts& facts, Fact fact);

using NumberText = std::array<char, 40>;

/// The value as a text; `space` holds that of a number.
std::string_view as_text(const Value& value, NumberText& space);

/// A value for people.
std::string shown(const Value& value);

inline constexpr std::size_t quoted_chars = 64;  // of a word or value, in messages

}  // namespace rpic::where_values
