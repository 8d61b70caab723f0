#include "slave/web/json_body.hpp"

#include <algorithm>
#include <optional>
#include <vector>

#include "common/limits.hpp"
#include "common/text.hpp"

namespace rpic {

void check_members(const json::object& object, std::initializer_list<std::string_view> known) {
    for (const auto& member : object) {
        const std::string name(member.key());
        if (std::find(known.begin(), known.end(), name) != known.end()) continue;
        const std::vector<std::string> names(known.begin(), known.end());
        const auto near = nearest(name, names);
        throw ProblemError(400,
                           "unknown member \"" + printable(name, limits::log_text_chars) + "\"" +
                               (near.empty() ? std::string() : ": did you mean " + near + "?"));
    }
}

namespace {

/// A text as it is, a number as it is written.
std::string word_of(const json::value& value) {
    if (const auto* text = value.if_string()) return std::string(*text);
    return value.is_number() ? json::serialize(value) : std::string();
}

}  // namespace

Duration duration_member(const json::object& object, std::string_view name) {
    const auto& value = object.at(name);
    std::optional<Duration> duration;
    if (value.is_string()) duration = parse_duration(word_of(value));
    if (value.is_number()) {
        const double seconds = value.to_number<double>();
        if (seconds > 0 && seconds < 1e9)
            duration = Duration(static_cast<std::int64_t>(seconds * 1e9));
    }
    if (!duration || *duration <= Duration::zero())
        throw ProblemError(400, "bad value for " + std::string(name) +
                                    ": expected a duration such as 90, \"10m\" or \"2h\"");
    return *duration;
}

std::int64_t size_member(const json::object& object, std::string_view name) {
    const auto size = parse_size(word_of(object.at(name)));
    if (!size)
        throw ProblemError(400, "bad value for " + std::string(name) +
                                    ": expected a size such as \"512M\", or bytes");
    return *size;
}

boost::asio::awaitable<json::object> json_body(Exchange& exchange) {
    const auto text = co_await exchange.wire.body(limits::web_body_bytes);
    if (text.empty()) co_return json::object();
    json::parse_options options;
    options.max_depth = limits::json_depth;
    boost::system::error_code error;
    auto value = json::parse(text, error, {}, options);
    if (error) throw ProblemError(400, "the body is not JSON: " + error.message());
    auto* object = value.if_object();
    if (object == nullptr)
        throw ProblemError(400, "the body is no JSON object: expected {\"name\": value, ...}");
    co_return std::move(*object);
}

}  // namespace rpic
