#include "slave/core/backoff.hpp"

#include <catch2/catch.hpp>
#include <vector>

#include "common/limits.hpp"

using namespace rpic;
using namespace std::chrono_literals;

namespace {

const Instant start{1000s};
constexpr double nearly_one = 0.9999999;

std::vector<Duration> ceilings(Backoff& backoff, Instant now, int count) {
    std::vector<Duration> result;
    for (int i = 0; i < count; ++i) {
        backoff.next(now, 0.5);
        result.push_back(backoff.ceiling());
    }
    return result;
}

}  // namespace

TEST_CASE("waits double up to five seconds, early in an outage") {
    Backoff backoff(60s);
    CHECK(ceilings(backoff, start, 8) ==
          std::vector<Duration>{200ms, 400ms, 800ms, 1600ms, 3200ms, 5s, 5s, 5s});
    CHECK(ceilings(backoff, start + 10min - 1ns, 1) == std::vector<Duration>{5s});
}

TEST_CASE("after ten minutes waits double up to the longest") {
    Backoff backoff(60s);
    ceilings(backoff, start, 8);
    CHECK(ceilings(backoff, start + 10min, 6) ==
          std::vector<Duration>{10s, 20s, 40s, 60s, 60s, 60s});
    CHECK(ceilings(backoff, start + 10000h, 1) == std::vector<Duration>{60s});
}

TEST_CASE("any time between nothing and the ceiling is drawn") {
    Backoff backoff(60s);
    CHECK(backoff.next(start, 0) == 0s);
    CHECK(backoff.next(start, 0.5) == 200ms);
    CHECK(backoff.next(start, 0.25) == 200ms);
    const auto last = backoff.next(start, nearly_one);
    CHECK(last < 1600ms);
    CHECK(last > 1599ms);
}

TEST_CASE("a draw of nothing still counts as an attempt") {
    Backoff backoff(60s);
    for (int i = 0; i < 5; ++i) backoff.next(start, 0);
    CHECK(backoff.ceiling() == 3200ms);
}

TEST_CASE("a link that was up begins a new outage") {
    Backoff backoff(60s);
    ceilings(backoff, start, 8);
    ceilings(backoff, start + 11min, 3);
    backoff.reset();
    CHECK(backoff.ceiling() == 0s);
    const auto later = start + 12min;
    CHECK(ceilings(backoff, later, 7) ==
          std::vector<Duration>{200ms, 400ms, 800ms, 1600ms, 3200ms, 5s, 5s});
    CHECK(ceilings(backoff, later + 10min - 1ns, 1) == std::vector<Duration>{5s});
    CHECK(ceilings(backoff, later + 10min, 1) == std::vector<Duration>{10s});
}

TEST_CASE("a small --reconnect-max is the ceiling from the start") {
    Backoff second(1s);
    CHECK(ceilings(second, start, 5) == std::vector<Duration>{200ms, 400ms, 800ms, 1s, 1s});
    CHECK(ceilings(second, start + 1h, 2) == std::vector<Duration>{1s, 1s});
    Backoff tiny(50ms);
    CHECK(ceilings(tiny, start, 3) == std::vector<Duration>{50ms, 50ms, 50ms});
    CHECK(tiny.next(start, nearly_one) < 50ms);
    Backoff three(3s);
    CHECK(ceilings(three, start, 6) == std::vector<Duration>{200ms, 400ms, 800ms, 1600ms, 3s, 3s});
}

TEST_CASE("an outage that begins at the clock's zero is an outage") {
    Backoff backoff(60s);
    CHECK(ceilings(backoff, Instant{}, 2) == std::vector<Duration>{200ms, 400ms});
    CHECK(ceilings(backoff, Instant{10min}, 1) == std::vector<Duration>{800ms});
}
