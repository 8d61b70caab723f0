#include "slave/core/master_choice.hpp"

#include <catch2/catch.hpp>

#include "common/limits.hpp"

using namespace rpic;
using namespace std::chrono_literals;

TEST_CASE("masters are tried in turn, the one that served last first") {
    MasterChoice choice;
    const Instant now{1h};
    CHECK(choice.next(now, 3).index == 0);
    choice.failed(0);
    CHECK(choice.next(now, 3).index == 1);
    choice.joined(1);
    CHECK(choice.next(now, 3).index == 1);
    choice.failed(1);
    choice.failed(2);
    CHECK(choice.next(now, 3).index == 0);
    CHECK(choice.next(now, 3).wait == 0s);
}

TEST_CASE("a master that refuses does not hold up the others") {
    MasterChoice choice;
    const Instant now{1h};
    choice.refused(0, now);
    CHECK(choice.next(now, 2).index == 1);
    CHECK_FALSE(choice.all_refused(now, 2));
    choice.failed(1);
    CHECK(choice.next(now, 2).index == 1);
    CHECK(choice.next(now, 2).wait == 0s);
    CHECK(choice.next(now + limits::refused_retry, 2).index == 0);
}

TEST_CASE("when all masters refuse, the first to have rested is next") {
    MasterChoice choice;
    const Instant now{1h};
    choice.refused(0, now);
    choice.refused(1, now + 10s);
    CHECK(choice.all_refused(now + 10s, 2));
    const auto next = choice.next(now + 20s, 2);
    CHECK(next.index == 0);
    CHECK(next.wait == limits::refused_retry - 20s);
    choice.forget_refusals();
    CHECK(choice.next(now + 20s, 2).wait == 0s);
}
