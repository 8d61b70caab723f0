#include "slave/runner/waiting_launches.hpp"

#include <catch2/catch.hpp>

using namespace rpic;

namespace {

RunnerAttempt had(const AttemptKey& key) {
    RunnerAttempt attempt;
    attempt.key = key;
    return attempt;
}

const AttemptKey first_key{1, 1, 1}, second_key{1, 2, 1}, third_key{1, 3, 1};

}  // namespace

TEST_CASE("Launches reach a new runner in the order in which they came", "[attempts]") {
    WaitingLaunches launches;
    CHECK_FALSE(launches.open());
    // The first task is to begin when the third has ended.
    CHECK(launches.add(third_key, "333"));
    CHECK(launches.add(first_key, "1"));
    CHECK_FALSE(launches.add(first_key, "1"));
    CHECK(launches.bytes() == 4);
    CHECK(launches.on_attached({}) == std::vector{third_key, first_key});
}

TEST_CASE("A launch waits until those before it were sent", "[attempts]") {
    WaitingLaunches launches;
    launches.add(second_key, "2");
    // What is decided while the runner is being attached comes behind what waits already.
    launches.add(first_key, "1");
    CHECK_FALSE(launches.open());
    CHECK(launches.on_attached({}) == std::vector{second_key, first_key});
    CHECK(launches.open());
    launches.on_runner_gone();
    CHECK_FALSE(launches.open());
}

TEST_CASE("A launch that a runner took is not sent again", "[attempts]") {
    WaitingLaunches launches;
    launches.add(first_key, "1");
    launches.add(second_key, "2");
    for (const auto& key : launches.on_attached({})) launches.sent(key);
    launches.answered(second_key);
    launches.on_runner_gone();
    launches.add(third_key, "3");
    CHECK(launches.on_attached({had(first_key)}) == std::vector{third_key});
}

TEST_CASE("A launch with which several runners ended is given up", "[attempts]") {
    WaitingLaunches launches;
    launches.add(first_key, "1");
    for (int deaths = 0; deaths < 3; ++deaths) {
        CHECK(launches.give_up(3).empty());
        for (const auto& key : launches.on_attached({})) launches.sent(key);
        launches.on_runner_gone();
    }
    CHECK(launches.give_up(3) == std::vector{first_key});
    CHECK(launches.empty());
    CHECK(launches.bytes() == 0);
}
