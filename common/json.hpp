#pragma once

#include <boost/describe/members.hpp>
#include <boost/json.hpp>
#include <boost/mp11/algorithm.hpp>
#include <cmath>
#include <concepts>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "common/errors.hpp"

/// Described structs <-> JSON. Boost.JSON's own conversion refuses extra and missing members, which
/// would make every new field a break of the protocol; so the described members are walked here.
namespace rpic {

namespace json = boost::json;

template <class T>
concept Described = boost::describe::has_describe_members<T>::value;

namespace detail {

template <class T>
struct IsOptional : std::false_type {};
template <class T>
struct IsOptional<std::optional<T>> : std::true_type {};
template <class T>
struct IsVector : std::false_type {};
template <class T>
struct IsVector<std::vector<T>> : std::true_type {};
template <class T>
struct IsStringMap : std::false_type {};
template <class T>
struct IsStringMap<std::map<std::string, T>> : std::true_type {};

[[noreturn]] void wrong_type(std::string_view where, std::string_view expected);

}  // namespace detail

/// The JSON value of a struct, or of one of the types its members may have.
template <class T>
json::value to_json(const T& from, json::storage_ptr storage = {}) {
    if constexpr (Described<T>) {
        json::object object(storage);
        using Members = boost::describe::describe_members<T, boost::describe::mod_public>;
        boost::mp11::mp_for_each<Members>(
            [&](auto member) { object[member.name] = to_json(from.*member.pointer, storage); });
        return object;
    } else if constexpr (detail::IsOptional<T>::value) {
        return from ? to_json(*from, storage) : json::value(nullptr, storage);
    } else if constexpr (detail::IsVector<T>::value) {
        json::array array(storage);
        array.reserve(from.size());
        for (const auto& element : from) array.push_back(to_json(element, storage));
        return array;
    } else if constexpr (detail::IsStringMap<T>::value) {
        json::object object(storage);
        for (const auto& [key, element] : from) object[key] = to_json(element, storage);
        return object;
    } else if constexpr (std::same_as<T, std::string>) {
        return json::value(json::string_view(from), storage);
    } else if constexpr (std::floating_point<T>) {
        // JSON has no word for what is not finite; a reader would take the whole frame for broken.
        return std::isfinite(from) ? json::value(from, storage) : json::value(nullptr, storage);
    } else {
        return json::value(from, storage);
    }
}

/// Fills `into` from a JSON value. Members that are missing or null keep their default, unknown
/// ones are ignored; a wrong type throws BadMessageError which names `where`.
template <class T>
void from_json(const json::value& from, T& into, std::string_view where) {
    if constexpr (Described<T>) {
        const auto* object = from.if_object();
        if (object == nullptr) detail::wrong_type(where, "an object");
        using Members = boost::describe::describe_members<T, boost::describe::mod_public>;
        boost::mp11::mp_for_each<Members>([&](auto member) {
            if (const auto* value = object->if_contains(member.name); value && !value->is_null())
                from_json(*value, into.*member.pointer, member.name);
        });
    } else if constexpr (detail::IsOptional<T>::value) {
        typename T::value_type value{};
        from_json(from, value, where);
        into = std::move(value);
    } else if constexpr (detail::IsVector<T>::value) {
        const auto* array = from.if_array();
        if (array == nullptr) detail::wrong_type(where, "an array");
        into.clear();
        for (const auto& element : *array) from_json(element, into.emplace_back(), where);
    } else if constexpr (detail::IsStringMap<T>::value) {
        const auto* object = from.if_object();
        if (object == nullptr) detail::wrong_type(where, "an object");
        into.clear();
        for (const auto& element : *object)
            from_json(element.value(), into[std::string(element.key())], where);
    } else if constexpr (std::same_as<T, std::string>) {
        const auto* text = from.if_string();
        if (text == nullptr) detail::wrong_type(where, "a string");
        into.assign(text->data(), text->size());
    } else if constexpr (std::same_as<T, bool>) {
        if (!from.is_bool()) detail::wrong_type(where, "true or false");
        into = from.get_bool();
    } else if constexpr (std::floating_point<T>) {
        // The parser makes infinity of 1e999.
        if (!from.is_number() || !std::isfinite(from.to_number<T>()))
            detail::wrong_type(where, "a number");
        into = from.to_number<T>();
    } else {
        static_assert(std::integral<T>);
        boost::system::error_code error;
        const T number = from.to_number<T>(error);
        if (error) detail::wrong_type(where, "a whole number in range");
        into = number;
    }
}

}  // namespace rpic
