#include "common/plain_messages.hpp"

#include <catch2/catch.hpp>
#include <cmath>
#include <string>

using namespace rpic;
using namespace std::string_literals;

namespace {

plain::Details details(std::string_view text) {
    return plain::details_from_json(json::parse(json::string_view(text.data(), text.size())));
}

}  // namespace

TEST_CASE("frames of the seed texts") {
    CHECK(plain::text_frame("uuid", "0123") == "{\"type\":\"uuid\",\"payload\":\"0123\"}\r");
    CHECK(plain::text_frame("message", "a \"b\"\r\n") ==
          "{\"type\":\"message\",\"payload\":\"a \\\"b\\\"\\r\\n\"}\r");
    CHECK(plain::json_frame("slave_details", json::object{}) ==
          "{\"type\":\"slave_details\",\"payload\":{}}\r");
}

TEST_CASE("details of a machine have exactly the members of the texts") {
    plain::Details sent;
    sent.machine.hostname = "pi4";
    sent.machine.cpu = "Cortex-A72";
    sent.machine.cpu_cores = 4;
    sent.machine.ram_bytes = 8'000'000'000;
    sent.machine.arch = "arm64";
    sent.cpu_percent_used = 12.5;
    const auto told = plain::details_to_json(sent);
    CHECK(told == json::parse("{\"hostname\":\"pi4\",\"cpu_percent_used\":12.5,"
                              "\"ram\":8000000000,\"cpu\":\"Cortex-A72\",\"cpu_cores\":4}"));
    const auto got = plain::details_from_json(told);
    sent.machine.arch.clear();
    CHECK(got.machine == sent.machine);
    CHECK(got.cpu_percent_used == 12.5);
}

TEST_CASE("a CPU percentage that is not known yet is told as a number all the same") {
    const auto told = plain::details_to_json({});
    CHECK(told.at("cpu_percent_used") == 0.0);
}

TEST_CASE("details that are no object are refused") {
    for (const auto* text : {"null", "[]", "\"pi4\"", "7", "true"})
        CHECK_THROWS_WITH(details(text), "machine details that are no object");
}

TEST_CASE("of strange details what makes sense is taken") {
    CHECK(details("{}").machine == MachineFacts{});
    CHECK_FALSE(details("{}").cpu_percent_used.has_value());
    const auto wrong = details(
        "{\"hostname\":7,\"cpu\":null,\"ram\":\"8 GB\",\"cpu_cores\":[4],\"cpu_percent_used\":"
        "\"12\",\"more\":{}}");
    CHECK(wrong.machine == MachineFacts{});
    CHECK_FALSE(wrong.cpu_percent_used.has_value());
    const auto half = details("{\"hostname\":\"pi4\",\"cpu\":false,\"ram\":1e9,\"cpu_cores\":4.0}");
    CHECK(half.machine.hostname == "pi4");
    CHECK(half.machine.ram_bytes == 1'000'000'000);
    CHECK(half.machine.cpu_cores == 4);
}

TEST_CASE("counts of a machine that cannot be are nothing") {
    for (const auto* count : {"-1", "1e400", "-1e400", "1e16", "18446744073709551615",
                              "-9223372036854775808", "9223372036854775807"}) {
        INFO(count);
        const auto got = details("{\"ram\":"s + count + ",\"cpu_cores\":" + count + "}");
        CHECK(got.machine.ram_bytes == 0);
        CHECK(got.machine.cpu_cores == 0);
    }
    CHECK(details("{\"ram\":8999999999999999}").machine.ram_bytes == 8'999'999'999'999'999);
    CHECK(details("{\"ram\":1.9}").machine.ram_bytes == 1);
}
