#pragma once

#include <boost/asio/awaitable.hpp>
#include <initializer_list>
#include <string_view>

#include "common/json.hpp"
#include "slave/web/exchange.hpp"

namespace rpic {

/// The JSON object that came with a request; an empty one if no body came, which the router allows
/// where it may be missing. Throws ProblemError.
boost::asio::awaitable<json::object> json_body(Exchange& exchange);

/// Throws ProblemError 400 for a member that is not among these.
void check_members(const json::object& object, std::initializer_list<std::string_view> known);

/// A duration, as a number of seconds or as a text such as "10m". Throws ProblemError 400.
Duration duration_member(const json::object& object, std::string_view name);
/// A size, in bytes or as a text such as "512M". Throws ProblemError 400.
std::int64_t size_member(const json::object& object, std::string_view name);

/// The same as from_json(), but what is wrong becomes a ProblemError 400.
template <class T>
void take_member(const json::object& object, std::string_view name, T& into) {
    const auto* value = object.if_contains(name);
    if (value == nullptr) return;
    try {
        from_json(*value, into, name);
    } catch (const BadMessageError& error) {
        throw ProblemError(400, error.what());
    }
}

}  // namespace rpic
