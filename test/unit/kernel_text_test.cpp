#include "common/machine/kernel_text.hpp"

#include <catch2/catch.hpp>
#include <cstdint>

#include "common/limits.hpp"

using namespace rpic;
using namespace std::string_literals;

TEST_CASE("texts of firmware and kernel as people see them") {
    CHECK(display_text("  Raspberry\tPi \n 4 \r\n") == "Raspberry Pi 4");
    CHECK(display_text("Gerät €5") == "Gerät €5");
    CHECK(display_text("a\x1B[31mb\xFF") == "a?[31mb?");
    CHECK(display_text("").empty());
    CHECK(display_text(" \n").empty());
    CHECK(firmware_text("Pine64\0junk"s) == "Pine64");
    CHECK(firmware_text(std::string(9, '\0')).empty());
}

TEST_CASE("long texts of firmware and kernel are cut") {
    const auto cut = std::string(limits::text_chars - 3, 'x') + "...";
    CHECK(display_text(std::string(1000, 'x')) == cut);
    CHECK(display_text("  " + std::string(1000, 'x') + " y") == cut);
    CHECK(display_text(std::string(limits::text_chars - 4, 'x') + "€€").size() <=
          limits::text_chars);
    CHECK(display_text("a" + std::string(100'000, ' ') + "b") == "a b");
}

TEST_CASE("numbers in files of the kernel") {
    CHECK(to_number<std::int64_t>(" -12\n") == -12);
    CHECK(to_number<double>("0.42") == 0.42);
    for (const auto* wrong : {"", "-", "12a", "1 2", "0x10", "9223372036854775808", "max"})
        CHECK_FALSE(to_number<std::int64_t>(wrong).has_value());
}

TEST_CASE("values by key in files of the kernel") {
    const auto* text = "model\t: 5\nmodel name\t: A: B \nempty :\nempty : later\nno colon\nend : z";
    CHECK(value_of(text, "model name", ':') == "A: B");
    CHECK(value_of(text, "empty", ':') == "later");
    CHECK(value_of(text, "end", ':') == "z");
    CHECK(value_of(text, "no colon", ':').empty());
    CHECK(value_of("", "model", ':').empty());
    CHECK(value_of("file 1\ninactive_file 7\n", "inactive_file", ' ') == "7");
}
