#include "common/where_values.hpp"

#include <charconv>
#include <cmath>
#include <cstdio>

#include "common/text.hpp"

namespace rpic::where_values {

namespace {

struct FactName {
    std::string_view word;
    Fact fact;
};

constexpr std::array<FactName, 21> fact_names = {{
    {"name", Fact::name},
    {"hostname", Fact::hostname},
    {"role", Fact::role},
    {"version", Fact::version},
    {"arch", Fact::arch},
    {"kernel_arch", Fact::kernel_arch},
    {"os", Fact::os},
    {"kernel", Fact::kernel},
    {"cpu", Fact::cpu},
    {"cores", Fact::cpu_cores},
    {"cpu_cores", Fact::cpu_cores},
    {"cpus", Fact::cpus},
    {"ram", Fact::ram_bytes},
    {"ram_bytes", Fact::ram_bytes},
    {"memory", Fact::memory_bytes},
    {"memory_bytes", Fact::memory_bytes},
    {"temperature", Fact::temperature_c},
    {"temperature_c", Fact::temperature_c},
    {"load", Fact::load_1m},
    {"load_1m", Fact::load_1m},
    {"cpu_percent", Fact::cpu_percent},
}};

bool digit(char c) {
    return c >= '0' && c <= '9';
}

Value bytes_value(std::int64_t bytes) {
    return {{}, static_cast<double>(bytes), false, true};
}

}  // namespace

std::optional<Fact> find_fact(std::string_view word) {
    for (const auto& known : fact_names)
        if (known.word == word) return known.fact;
    return std::nullopt;
}

bool changes_with_heartbeats(Fact fact) {
    return fact == Fact::temperature_c || fact == Fact::load_1m || fact == Fact::cpu_percent;
}

std::optional<double> to_number(std::string_view text) {
    const bool negative = !text.empty() && text[0] == '-';
    if (negative) text.remove_prefix(1);
    // Without this from_chars would take "inf" and "nan".
    if (text.empty() || !digit(text[0])) return std::nullopt;
    double number = 0;
    const auto [end, error] =
        std::from_chars(text.data(), text.data() + text.size(), number, std::chars_format::fixed);
    if (error != std::errc{} || !std::isfinite(number)) return std::nullopt;
    auto suffix = text.substr(static_cast<std::size_t>(end - text.data()));
    if (!suffix.empty()) {
        const auto power = std::string_view("kmgt").find(static_cast<char>(suffix[0] | 0x20));
        if (power == std::string_view::npos) return std::nullopt;
        suffix.remove_prefix(1);
        // "1B" is a model of a board rather than a size; "1KB" and "1KiB" are sizes.
        if (!suffix.empty() && suffix != "B" && suffix != "iB") return std::nullopt;
        number *= std::pow(1024.0, static_cast<double>(power + 1));
    }
    return negative ? -number : number;
}

Value text_value(std::string_view text) {
    return {text, to_number(text), true, false};
}

Value number_value(std::optional<double> number) {
    return number ? Value{{}, number, false, false} : Value{};
}

Value fact_value(const WhereFacts& facts, Fact fact) {
    switch (fact) {
        case Fact::name:
            return text_value(facts.name);
        case Fact::hostname:
            return text_value(facts.hostname);
        case Fact::role:
            return text_value(facts.role);
        case Fact::version:
            return text_value(facts.version);
        case Fact::arch:
            return text_value(facts.arch);
        case Fact::kernel_arch:
            return text_value(facts.kernel_arch);
        case Fact::os:
            return text_value(facts.os);
        case Fact::kernel:
            return text_value(facts.kernel);
        case Fact::cpu:
            return text_value(facts.cpu);
        case Fact::cpu_cores:
            return number_value(static_cast<double>(facts.cpu_cores));
        case Fact::cpus:
            return number_value(static_cast<double>(facts.cpus));
        case Fact::ram_bytes:
            return bytes_value(facts.ram_bytes);
        case Fact::memory_bytes:
            return bytes_value(facts.memory_bytes);
        case Fact::temperature_c:
            return number_value(facts.temperature_c);
        case Fact::load_1m:
            return number_value(facts.load_1m);
        case Fact::cpu_percent:
            return number_value(facts.cpu_percent);
    }
    return {};
}

std::string_view as_text(const Value& value, NumberText& space) {
    if (value.is_text) return value.text;
    const int length = std::snprintf(space.data(), space.size(), "%.15g", value.number.value_or(0));
    return {space.data(), static_cast<std::size_t>(length)};
}

std::string shown(const Value& value) {
    if (value.is_bytes && value.number)
        return format_size(static_cast<std::int64_t>(*value.number));
    NumberText space;
    const auto text = as_text(value, space);
    return text.empty() ? "not set" : printable(text, quoted_chars);
}

}  // namespace rpic::where_values
