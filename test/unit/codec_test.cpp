#include "common/codec.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "common/limits.hpp"
#include "common/messages.hpp"

using namespace rpic;
using namespace std::string_literals;

namespace {

using Everything = boost::mp11::mp_unique<
    boost::mp11::mp_append<std::variant<Hello>, FromNode, ToNode, FromClient, ToClient>>;

template <class Function>
void for_each_message(Function function) {
    boost::mp11::mp_for_each<boost::mp11::mp_transform<std::type_identity, Everything>>(function);
}

/// Sets every member, of every member, to a value of its own.
class Filler {
  public:
    template <class T>
    void fill(T& value) {
        if constexpr (Described<T>) {
            using Members = boost::describe::describe_members<T, boost::describe::mod_public>;
            boost::mp11::mp_for_each<Members>([&](auto member) { fill(value.*member.pointer); });
        } else if constexpr (detail::IsOptional<T>::value) {
            fill(value.emplace());
        } else if constexpr (detail::IsVector<T>::value) {
            for (int i = 0; i < 2; ++i) fill(value.emplace_back());
        } else if constexpr (detail::IsStringMap<T>::value) {
            for (const auto* key : {"", "key \"\r\n\u20AC"}) fill(value[key]);
        } else if constexpr (std::same_as<T, std::string>) {
            value = "text\r\n\t\"\\\u20AC\0 "s + std::to_string(++count_);
        } else if constexpr (std::same_as<T, bool>) {
            value = true;
        } else if constexpr (std::floating_point<T>) {
            value = static_cast<T>(++count_) + T{0.25};  // the same in binary and in decimal
        } else {
            value = static_cast<T>(std::numeric_limits<T>::max() - ++count_);
        }
    }

  private:
    int count_ = 0;
};

/// Where the described members of a struct begin and end in it.
template <class T>
std::vector<std::pair<std::size_t, std::size_t>> places() {
    static const T example{};
    std::vector<std::pair<std::size_t, std::size_t>> result;
    using Members = boost::describe::describe_members<T, boost::describe::mod_public>;
    boost::mp11::mp_for_each<Members>([&](auto member) {
        const auto& place = example.*member.pointer;
        const auto begin = static_cast<std::size_t>(reinterpret_cast<const char*>(&place) -
                                                    reinterpret_cast<const char*>(&example));
        result.emplace_back(begin, begin + sizeof place);
    });
    std::sort(result.begin(), result.end());
    return result;
}

/// Bytes between described members: more than padding is a member that was forgotten.
template <class T>
std::size_t largest_gap() {
    std::size_t at = 0;
    std::size_t gap = 0;
    for (const auto& [begin, end] : places<T>()) {
        gap = std::max(gap, begin - at);
        at = end;
    }
    return at == 0 ? 0 : std::max(gap, sizeof(T) - at);
}

template <class Message>
Message decoded(std::string_view payload) {
    ParseArena arena;
    const auto envelope = open_envelope("{\"type\":\"" + std::string(Message::type_name) +
                                            "\",\"payload\":" + std::string(payload) + "}",
                                        arena);
    return std::get<Message>(decode<std::variant<Message>>(envelope).value());
}

template <class Message>
std::string complaint(std::string_view payload) {
    try {
        decoded<Message>(payload);
    } catch (const BadMessageError& error) {
        return error.what();
    }
    return "";
}

std::string broken(std::string_view text) {
    ParseArena arena;
    try {
        open_envelope(text, arena);
    } catch (const BadMessageError& error) {
        return error.what();
    }
    return "";
}

std::string nested(int depth) {
    std::string text;
    for (int i = 0; i < depth - 1; ++i) text += i % 2 == 0 ? "{\"a\":" : "[";
    text += "{}";
    for (int i = depth - 2; i >= 0; --i) text += i % 2 == 0 ? "}" : "]";
    return text;
}

}  // namespace

TEST_CASE("every message travels with all its members") {
    for_each_message([](auto tag) {
        using Message = typename decltype(tag)::type;
        INFO(Message::type_name);
        Message sent{};
        Filler().fill(sent);
        const auto bytes = encode(sent, "raw\r");
        FrameSplitter splitter(limits::control_frame_bytes, limits::raw_tail_bytes);
        Frame frame;
        REQUIRE(splitter.next(bytes, frame) == bytes.size());
        CHECK(frame.raw == "raw\r");
        ParseArena arena;
        const auto envelope = open_envelope(frame.json, arena);
        CHECK(envelope.type == Message::type_name);
        const auto got = decode<Everything>(envelope);
        REQUIRE(got.has_value());
        REQUIRE(std::holds_alternative<Message>(*got));
        CHECK(to_json(std::get<Message>(*got)) == to_json(sent));
        if (!places<Message>().empty()) CHECK(to_json(sent) != to_json(Message{}));
    });
}

TEST_CASE("no member of a message is left out of its description") {
    for_each_message([](auto tag) {
        using Message = typename decltype(tag)::type;
        INFO(Message::type_name);
        CHECK(largest_gap<Message>() < alignof(Message));
    });
    CHECK(largest_gap<MachineFacts>() < alignof(MachineFacts));
    CHECK(largest_gap<Vitals>() < alignof(Vitals));
    CHECK(largest_gap<NodeView>() < alignof(NodeView));
    CHECK(largest_gap<MasterView>() < alignof(MasterView));
    CHECK(largest_gap<TokenView>() < alignof(TokenView));
}

TEST_CASE("types of messages are unique") {
    std::vector<std::string_view> types;
    for_each_message([&](auto tag) { types.push_back(decltype(tag)::type::type_name); });
    std::sort(types.begin(), types.end());
    CHECK(std::adjacent_find(types.begin(), types.end()) == types.end());
}

TEST_CASE("a frame on the wire") {
    HeartbeatAck ack;
    ack.sequence = 7;
    CHECK(encode(ack) == "{\"type\":\"heartbeat_ack\",\"payload\":{\"sequence\":7}}\r");
    CHECK(encode(ack, "\rab") ==
          "{\"raw\":3,\"type\":\"heartbeat_ack\",\"payload\":{\"sequence\":7}}\r\rab");
    CHECK(encode(Watch{}) == "{\"type\":\"watch\",\"payload\":{}}\r");
    std::string two;
    encode_to(two, Watch{});
    encode_to(two, Watch{});
    CHECK(two == encode(Watch{}) + encode(Watch{}));
}

TEST_CASE("no text can break out of its frame") {
    Refused refused;
    for (int byte = 0; byte < 128; ++byte) refused.reason += static_cast<char>(byte);
    const auto bytes = encode(refused);
    CHECK(bytes.find('\r') == bytes.size() - 1);
    CHECK(bytes.find('\n') == std::string::npos);
    const auto payload = bytes.find("\"payload\":") + 10;
    const auto text = std::string_view(bytes).substr(payload, bytes.size() - payload - 2);
    CHECK(decoded<Refused>(text).reason == refused.reason);
}

TEST_CASE("members that are missing or null keep their default, unknown ones are ignored") {
    CHECK(to_json(decoded<Hello>("{}")) == to_json(Hello{}));
    CHECK(to_json(decoded<NodeList>("{}")) == to_json(NodeList{}));
    CHECK(to_json(decoded<Status>("{\"id\":null,\"cluster\":null,\"nodes\":null,"
                                  "\"uptime_seconds\":null}")) == to_json(Status{}));
    CHECK_FALSE(decoded<NodesChanged>("{\"nodes\":null,\"complete\":null}").complete);
    const auto beat = decoded<Heartbeat>(
        "{\"new\":[{}],\"sequence\":3,\"vitals\":{\"cpu_percent\":null,\"load_1m\":2,"
        "\"smell\":\"rose\"}}");
    CHECK(beat.sequence == 3);
    CHECK_FALSE(beat.vitals.cpu_percent.has_value());
    CHECK(beat.vitals.load_1m == 2.0);
}

TEST_CASE("a wrong type names the member") {
    CHECK(complaint<Heartbeat>("[]") == "\"heartbeat\" should be an object");
    CHECK(complaint<Heartbeat>("null") == "\"heartbeat\" should be an object");
    CHECK(complaint<Heartbeat>("{\"vitals\":[]}") == "\"vitals\" should be an object");
    CHECK(complaint<Heartbeat>("{\"vitals\":{\"load_1m\":\"1\"}}") ==
          "\"load_1m\" should be a number");
    CHECK(complaint<Heartbeat>("{\"vitals\":{\"throttled\":0}}") ==
          "\"throttled\" should be true or false");
    CHECK(complaint<Bye>("{\"reason\":7}") == "\"reason\" should be a string");
    CHECK(complaint<NodeList>("{\"nodes\":{}}") == "\"nodes\" should be an array");
    CHECK(complaint<NodeList>("{\"nodes\":[7]}") == "\"nodes\" should be an object");
    CHECK(complaint<NodeList>("{\"nodes\":[{\"unwell\":[null]}]}") ==
          "\"unwell\" should be a string");
    CHECK(complaint<NodeList>("{\"more\":\"true\"}") == "\"more\" should be true or false");
    CHECK(complaint<Hello>("{\"labels\":[]}") == "\"labels\" should be an object");
    CHECK(complaint<Hello>("{\"labels\":{\"a\":1}}") == "\"labels\" should be a string");
    CHECK(complaint<Done>("{\"id\":\"7\"}") == "\"id\" should be a whole number in range");
    CHECK(complaint<Done>("{\"id\":true}") == "\"id\" should be a whole number in range");
    CHECK(complaint<Done>("{\"id\":{}}") == "\"id\" should be a whole number in range");
}

TEST_CASE("whole numbers") {
    const auto id = [](const std::string& text) {
        return decoded<Done>("{\"id\":" + text + "}").id;
    };
    CHECK(id("0") == 0);
    CHECK(id("-1") == -1);
    CHECK(id("1e3") == 1000);
    CHECK(id("1.0") == 1);
    CHECK(id("-0") == 0);
    CHECK(id("9223372036854775807") == std::numeric_limits<std::int64_t>::max());
    CHECK(id("-9223372036854775808") == std::numeric_limits<std::int64_t>::min());
    for (const auto* wrong : {"9223372036854775808", "18446744073709551616", "1e19", "-1e19", "1.5",
                              "1e400", "-1e400", "-9223372036854775809"}) {
        INFO(wrong);
        CHECK(complaint<Done>("{\"id\":"s + wrong + "}") ==
              "\"id\" should be a whole number in range");
    }
    CHECK(decoded<Hello>("{\"protocol\":2147483647}").protocol == 2147483647);
    CHECK(complaint<Hello>("{\"protocol\":2147483648}") ==
          "\"protocol\" should be a whole number in range");
    CHECK(decoded<Hello>("{\"heartbeat_seconds\":5}").heartbeat_seconds == 5.0);
    CHECK(decoded<Hello>("{\"heartbeat_seconds\":18446744073709551615}").heartbeat_seconds > 1e19);
}

TEST_CASE("numbers that JSON has no word for travel as null") {
    for (const double value :
         {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity(),
          -std::numeric_limits<double>::infinity()}) {
        Heartbeat beat;
        beat.sequence = 4;
        beat.vitals.load_1m = value;
        CHECK(encode(beat).find("\"load_1m\":null") != std::string::npos);
        MasterChanged changed;
        changed.master.uptime_seconds = value;
        CHECK(encode(changed).find("\"uptime_seconds\":null") != std::string::npos);
    }
    for (const auto* word : {"NaN", "Infinity", "-Infinity", "nan", "1e", "01", ".5", "+1", "0x1"})
        CHECK(broken("{\"type\":\"done\",\"payload\":{\"id\":"s + word + "}}") != "");
}

TEST_CASE("JSON may nest as deep as the limit") {
    CHECK(broken(nested(limits::json_depth)).empty());
    CHECK(broken(nested(limits::json_depth + 1)) == "JSON nested deeper than 16");
    CHECK(broken(std::string(60'000, '[')) == "JSON nested deeper than 16");
}

TEST_CASE("what is not JSON in UTF-8 is refused") {
    for (const auto& text : {""s,
                             " "s,
                             "{"s,
                             "}"s,
                             "{}{}"s,
                             "{} x"s,
                             "{'a':1}"s,
                             "{\"a\":1,}"s,
                             "{\"a\" 1}"s,
                             "nul"s,
                             "\xEF\xBB\xBF{}"s,
                             "{\"a\":\"\n\"}"s,
                             "{\"a\":\"\xFF\"}"s,
                             "{\"a\":\"\xC0\xAF\"}"s,
                             "{\"a\":\"\xED\xA0\x80\"}"s,
                             "{\"a\":\"\xE2\x82\"}"s,
                             "{\"a\":\"\xF4\x90\x80\x80\"}"s,
                             "{\"\xFF\":1}"s,
                             "{\"a\":\"\\ud800\"}"s,
                             "{\"a\":\"\\x\"}"s,
                             "{\0}"s,
                             "{}\0"s,
                             "// a\n{}"s}) {
        INFO(text);
        CHECK(broken(text).starts_with("broken JSON ("));
    }
}

TEST_CASE("documents that are no message have an empty type and a null payload") {
    for (const auto* text : {"[]", "7", "null", "\"hello\"", "{}", "{\"payload\":null}",
                             "{\"type\":7}", "{\"type\":null}", "{\"type\":{\"type\":\"done\"}}"}) {
        INFO(text);
        ParseArena arena;
        const auto envelope = open_envelope(text, arena);
        CHECK(envelope.type.empty());
        REQUIRE(envelope.payload != nullptr);
        CHECK(envelope.payload->is_null());
        CHECK_FALSE(decode<Everything>(envelope).has_value());
    }
}

TEST_CASE("a type that is not asked for is no message") {
    ParseArena arena;
    const auto envelope = open_envelope("{\"type\":\"welcome\",\"payload\":7}", arena);
    CHECK_FALSE(decode<FromNode>(envelope).has_value());
    CHECK_THROWS_AS(decode<ToNode>(envelope), BadMessageError);
    ParseArena other;
    const auto nul = open_envelope("{\"type\":\"bye\\u0000\",\"payload\":{}}", other);
    CHECK_FALSE(decode<FromNode>(nul).has_value());
}

TEST_CASE("of members that are given twice the last counts") {
    CHECK(decoded<Done>("{\"id\":1,\"id\":2}").id == 2);
    const auto hello = decoded<Hello>("{\"labels\":{\"a\":\"1\",\"a\":\"2\"}}");
    CHECK(hello.labels == std::map<std::string, std::string>{{"a", "2"}});
}

TEST_CASE("an envelope stays valid when it is moved and outlives the text") {
    ParseArena arena;
    auto text = std::make_unique<std::string>(encode(Bye{.reason = "ends"}));
    text->pop_back();
    auto first = open_envelope(*text, arena);
    text.reset();
    const auto envelope = std::move(first);
    CHECK(std::get<Bye>(decode<FromNode>(envelope).value()).reason == "ends");
}
