#include "slave/runner/waiting_launches.hpp"

#include <catch2/catch.hpp>

using namespace rpic;

namespace {

RunnerAttempt had(const AttemptKey& key) {
    RunnerAttempt attempt;
    attempt.key = key;
    return attempt;
}

const AttemptKey one{1, 1, 1}, two{1, 2, 1}, three{1, 3, 1};

}  // namespace

TEST_CASE("Launches reach a new runner in the order in which they came", "[attempts]") {
    WaitingLaunches launches;
    CHECK_FALSE(launches.open());
    // The first task is to begin when the third has ended.
    CHECK(launches.add(three, "333"));
    CHECK(launches.add(one, "1"));
    CHECK_FALSE(launches.add(one, "1"));
    CHECK(launches.bytes() == 4);
    CHECK(launches.on_attached({}) == std::vector{three, one});
}

TEST_CASE("A launch waits until those before it were sent", "[attempts]") {
    WaitingLaunches launches;
    launches.add(two, "2");
    // What is decided while the runner is being attached comes behind what waits already.
    launches.add(one, "1");
    CHECK_FALSE(launches.open());
    CHECK(launches.on_attached({}) == std::vector{two, one});
    CHECK(launches.open());
    launches.on_runner_gone();
    CHECK_FALSE(launches.open());
}

TEST_CASE("A launch that a runner took is not sent again", "[attempts]") {
    WaitingLaunches launches;
    launches.add(one, "1");
    launches.add(two, "2");
    for (const auto& key : launches.on_attached({})) launches.sent(key);
    launches.answered(two);
    launches.on_runner_gone();
    launches.add(three, "3");
    CHECK(launches.on_attached({had(one)}) == std::vector{three});
}

TEST_CASE("A launch with which several runners ended is given up", "[attempts]") {
    WaitingLaunches launches;
    launches.add(one, "1");
    for (int deaths = 0; deaths < 3; ++deaths) {
        CHECK(launches.give_up(3).empty());
        for (const auto& key : launches.on_attached({})) launches.sent(key);
        launches.on_runner_gone();
    }
    CHECK(launches.give_up(3) == std::vector{one});
    CHECK(launches.empty());
    CHECK(launches.bytes() == 0);
}
