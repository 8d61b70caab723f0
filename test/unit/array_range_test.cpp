#include "common/array_range.hpp"

#include <catch2/catch.hpp>

using rpic::ArrayRange;
using rpic::SyntaxError;

namespace {

std::string range_error(const char* text) {
    try {
        ArrayRange::parse(text);
    } catch (const SyntaxError& e) {
        return e.what();
    }
    return "";
}

}  // namespace

TEST_CASE("array: ranges, steps and limits", "[array]") {
    const auto plain = ArrayRange::parse("1-100");
    CHECK(plain.size() == 100);
    CHECK(plain.index(0) == 1);
    CHECK(plain.index(99) == 100);
    CHECK(plain.limit == 0);

    const auto stepped = ArrayRange::parse(" 0-95:10%4 ");
    CHECK(stepped.size() == 10);
    CHECK(stepped.last == 90);  // the last one that occurs
    CHECK(stepped.limit == 4);
    CHECK(stepped.position(30) == 3);
    CHECK_FALSE(stepped.position(31));
    CHECK_FALSE(stepped.position(100));
    CHECK_FALSE(stepped.position(-10));
    CHECK(stepped.text() == "0-90:10%4");

    const auto one = ArrayRange::parse("7");
    CHECK(one.size() == 1);
    CHECK(one.index(0) == 7);
    CHECK(one.text() == "7");
    CHECK(ArrayRange::parse("5-5:3").size() == 1);
    CHECK(ArrayRange::parse("0-999999").size() == 1'000'000);
    CHECK(ArrayRange::parse("999999999999-1000000000000").size() == 2);
}

TEST_CASE("array: every position has its index", "[array]") {
    for (const auto* text : {"0-0", "3-50:7", "1-10%3", "999999999990-1000000000000:3"}) {
        const auto range = ArrayRange::parse(text);
        for (std::int64_t i = 0; i < range.size(); ++i) CHECK(range.position(range.index(i)) == i);
        CHECK(range.index(range.size() - 1) == range.last);
        CHECK(ArrayRange::parse(range.text()) == range);
    }
}

TEST_CASE("array: what is wrong is said", "[array]") {
    const std::string grammar = " (FIRST-LAST[:STEP][%LIMIT], such as 1-100 or 0-90:10%4)";
    CHECK(range_error("") == "the array \"\" lacks a number" + grammar);
    CHECK(range_error("5-1") == "the array \"5-1\" ends before it begins" + grammar);
    CHECK(range_error("-5") == "the array \"-5\" lacks a number" + grammar);
    CHECK(range_error("1-") == "the array \"1-\" lacks the last index behind the -" + grammar);
    CHECK(range_error("1-5:0").find("step 0") != std::string::npos);
    CHECK(range_error("1-5%0").find("no task run at once") != std::string::npos);
    CHECK(range_error("1-5,7").find("\",7\" is left") != std::string::npos);
    CHECK(range_error("1-5x").find("\"x\" is left") != std::string::npos);
    CHECK(range_error("1 - 5").find("is left") != std::string::npos);
    CHECK(range_error("0-1000000").find("1000001 tasks, and 1000000 is the most") !=
          std::string::npos);
    CHECK(range_error("1-1000000000001").find("above 1000000000000") != std::string::npos);
    CHECK(range_error("99999999999999999999").find("above") != std::string::npos);
    CHECK(range_error("1-5:99999999999999999999").find("above") != std::string::npos);
}
