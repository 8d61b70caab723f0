#include "common/plain_messages.hpp"

#include <cmath>

namespace rpic::plain {

namespace {

void take_text(const json::object& object, std::string_view name, std::string& into) {
    if (const auto* value = object.if_contains(name); value && value->is_string())
        into = std::string(value->get_string());
}

std::optional<double> number(const json::object& object, std::string_view name) {
    const auto* value = object.if_contains(name);
    if (value == nullptr || !value->is_number()) return std::nullopt;
    const auto number = value->to_number<double>();
    return std::isfinite(number) ? std::optional(number) : std::nullopt;  // 1e999 is not
}

/// A count that a double can hold exactly; anything else is 0.
std::int64_t whole(const json::object& object, std::string_view name) {
    const auto value = number(object, name);
    const bool sane = value && *value >= 0 && *value < 9e15;
    return sane ? static_cast<std::int64_t>(*value) : 0;
}

}  // namespace

json::value details_to_json(const Details& details) {
    json::object object;
    object["hostname"] = details.machine.hostname;
    object["cpu_percent_used"] = details.cpu_percent_used.value_or(0.0);
    object["ram"] = details.machine.ram_bytes;
    object["cpu"] = details.machine.cpu;
    object["cpu_cores"] = details.machine.cpu_cores;
    return object;
}

Details details_from_json(const json::value& payload) {
    const auto* object = payload.if_object();
    if (object == nullptr) throw BadMessageError("machine details that are no object");
    Details details;
    take_text(*object, "hostname", details.machine.hostname);
    take_text(*object, "cpu", details.machine.cpu);
    details.machine.ram_bytes = whole(*object, "ram");
    details.machine.cpu_cores = whole(*object, "cpu_cores");
    details.cpu_percent_used = number(*object, "cpu_percent_used");
    return details;
}

std::string text_frame(std::string_view type, std::string_view text) {
    return json_frame(type, json::value(json::string_view(text)));
}

std::string json_frame(std::string_view type, const json::value& payload) {
    std::string frame;
    append_frame(frame, type, payload);
    return frame;
}

}  // namespace rpic::plain
