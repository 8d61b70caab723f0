#include "master/core/position_set.hpp"

#include <catch2/catch.hpp>
#include <random>
#include <set>

using namespace rpic;

TEST_CASE("a set of positions has what was put into it", "[jobs]") {
    PositionSet set;
    CHECK(set.empty());
    CHECK_FALSE(set.next(0));
    for (const Position position : {999'999, 0, 63, 64, 63}) set.insert(position);
    CHECK(set.size() == 4);
    CHECK(set.contains(64));
    CHECK_FALSE(set.contains(65));
    CHECK_FALSE(set.contains(5'000'000));
    CHECK(set.next(0) == 0);
    CHECK(set.next(1) == 63);
    CHECK(set.next(64) == 64);
    CHECK(set.next(65) == 999'999);
    CHECK_FALSE(set.next(1'000'000));
    set.erase(0);
    set.erase(0);
    set.erase(7'000'000);
    CHECK(set.size() == 3);
    CHECK(set.next(0) == 63);
    set.clear();
    CHECK(set.empty());
    CHECK_FALSE(set.contains(63));
}

TEST_CASE("a set of positions is as another set, whatever is done with it", "[jobs]") {
    std::mt19937 random(7);
    PositionSet set;
    std::set<Position> other;
    for (int step = 0; step < 5'000; ++step) {
        const auto position = static_cast<Position>(random() % 400);
        if (random() % 2 == 0) {
            set.insert(position);
            other.insert(position);
        } else {
            set.erase(position);
            other.erase(position);
        }
        const auto from = static_cast<Position>(random() % 400);
        const auto found = other.lower_bound(from);
        REQUIRE(set.next(from) == (found == other.end() ? std::nullopt : std::optional(*found)));
        REQUIRE(set.size() == static_cast<std::int64_t>(other.size()));
    }
}
