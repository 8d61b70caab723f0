#include "master/core/answer_limit.hpp"

#include <catch2/catch.hpp>
#include <string>

#include "common/limits.hpp"

using namespace rpic;
using namespace std::chrono_literals;

TEST_CASE("an address gets so many answers a second, and others are not held up by it") {
    AnswerLimit limit;
    const Instant now{1h};
    for (std::int64_t i = 0; i < limits::discovery_per_address; ++i)
        CHECK(limit.may_answer(now, "10.0.0.1"));
    CHECK_FALSE(limit.may_answer(now + 999ms, "10.0.0.1"));
    CHECK(limit.may_answer(now + 999ms, "10.0.0.2"));
    CHECK(limit.may_answer(now + 1s, "10.0.0.1"));
}

TEST_CASE("all addresses together get so many answers a second") {
    AnswerLimit limit;
    const Instant now{1h};
    std::int64_t answered = 0;
    for (std::int64_t i = 0; i < 2 * limits::discovery_answers; ++i)
        answered += limit.may_answer(now, "fe80::" + std::to_string(i)) ? 1 : 0;
    CHECK(answered == limits::discovery_answers);
    CHECK(limit.may_answer(now + 1s, "10.0.0.1"));
}

TEST_CASE("beyond so many questions nothing is read until the next second") {
    AnswerLimit limit;
    const Instant now{1h};
    for (std::int64_t i = 0; i < limits::discovery_looked_at; ++i) REQUIRE(limit.may_read(now));
    CHECK_FALSE(limit.may_read(now + 400ms));
    CHECK(limit.rest(now + 400ms) == 600ms);
    CHECK(limit.may_read(now + 1s));
    CHECK(limit.rest(now + 5s) == 0s);
}
