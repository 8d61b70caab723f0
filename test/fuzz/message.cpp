#include <algorithm>
#include <cmath>
#include <string>
#include <variant>
#include <vector>

#include "common/codec.hpp"
#include "common/limits.hpp"
#include "common/messages.hpp"
#include "common/plain_messages.hpp"
#include "slave/runner/messages.hpp"
#include "test/fuzz/targets.hpp"

namespace rpic::fuzz {

namespace {

using Everything = boost::mp11::mp_unique<
    boost::mp11::mp_append<std::variant<Hello, Bulk>, FromNode, ToNode, FromClient, ToClient,
                           FromBulk, ToBulk, ToRunner, FromRunner>>;

const std::vector<std::string_view>& type_names() {
    static const auto names = [] {
        std::vector<std::string_view> all;
        boost::mp11::mp_for_each<boost::mp11::mp_transform<std::type_identity, Everything>>(
            [&](auto tag) { all.push_back(decltype(tag)::type::type_name); });
        return all;
    }();
    return names;
}

/// Equal but for the last digits of numbers: the parser does not read all of them to the last bit.
bool alike(const json::value& left, const json::value& right) {
    if (left.is_double() && right.is_double()) {
        const double one = left.get_double();
        const double other = right.get_double();
        return std::abs(one - other) <= 1e-12 * std::max(std::abs(one), std::abs(other));
    }
    if (left.is_array() && right.is_array())
        return std::equal(left.get_array().begin(), left.get_array().end(),
                          right.get_array().begin(), right.get_array().end(), alike);
    if (left.is_object() && right.is_object())
        return std::equal(left.get_object().begin(), left.get_object().end(),
                          right.get_object().begin(), right.get_object().end(),
                          [](const auto& one, const auto& other) {
                              return one.key() == other.key() && alike(one.value(), other.value());
                          });
    return left == right;
}

/// What came is what would be sent: a message that was taken says the same on its next journey.
template <class Message>
void send_on(const Message& message) {
    const std::string sent = encode(message);
    FrameSplitter splitter(sent.size(), 0);
    Frame frame;
    expect(splitter.next(sent, frame) == sent.size(), "a message is not one frame");
    ParseArena arena;
    const auto envelope = open_envelope(frame.json, arena);
    const auto again = decode<std::variant<Message>>(envelope);
    expect(again.has_value(), "a message is of another type when it is sent on");
    expect(alike(to_json(std::get<Message>(*again)), to_json(message)),
           "a message changes when it is sent on");
}

void read_plain(const json::value& payload) {
    try {
        const auto details = plain::details_from_json(payload);
        const auto told = plain::details_to_json(details);
        const auto again = plain::details_to_json(plain::details_from_json(told));
        expect(alike(told, again), "details change when sent on");
    } catch (const BadMessageError& error) {
        expect_one_line(error.what());
    }
}

void read_message(std::string_view text) {
    ParseArena arena;
    try {
        const auto envelope = open_envelope(text, arena);
        read_plain(*envelope.payload);
        const auto message = decode<Everything>(envelope);
        if (message) std::visit([](const auto& taken) { send_on(taken); }, *message);
    } catch (const BadMessageError& error) {
        expect_one_line(error.what());
    }
}

}  // namespace

/// The first byte chooses a type, whose payload the rest is; behind the last type, the rest is a
/// whole frame.
void fuzz_message(std::string_view input) {
    const auto chosen = take_byte(input);
    if (chosen >= type_names().size()) return read_message(input);
    read_message("{\"type\":\"" + std::string(type_names()[chosen]) +
                 "\",\"payload\":" + std::string(input) + '}');
}

}  // namespace rpic::fuzz
