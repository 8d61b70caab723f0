#include <catch2/catch.hpp>

#include "common/limits.hpp"
#include "test/unit/attempts_world.hpp"

using namespace rpic;
using namespace rpic::test;

namespace {

using Phase = NodeAttempts::Phase;

}  // namespace

TEST_CASE("stopping", "[attempts]") {
    AttemptsWorld world(1);
    world.attached();
    world.order(1);
    SECTION("while it waits for room") {
        world.order(2, true);
        CHECK(world.stop({two}) == Lines{"report 1.2.1"});
        CHECK(world.at(two).report.outcome == "killed");
        CHECK(world.at(two).report.reason == "cancelled");
        // Its folder is still being made.
        CHECK(world.acknowledge({two}).empty());
        CHECK(world.prepared(two) == Lines{"remove folder 1.2.1"});
    }
    SECTION("while it is prepared: the next one gets its room") {
        world.order(2, true);
        world.prepared(two);
        CHECK(world.stop({one}) == Lines{"report 1.1.1", "launch 1.2.1"});
        CHECK(world.prepared(one).empty());
        CHECK(world.at(one).phase == Phase::ended);
    }
    SECTION("while it is launched") {
        world.prepared(one);
        CHECK(world.stop({one}) == Lines{"kill 1.1.1: cancelled"});
        CHECK(world.launched(one).empty());
        CHECK(world.used_milli_cpus() == 1000);
        CHECK(world.ended(world.exited(one)) == Lines{"report 1.1.1"});
    }
    SECTION("while it runs, twice") {
        world.prepared(one);
        world.launched(one);
        CHECK(world.stop({one}) == Lines{"kill 1.1.1: cancelled"});
        CHECK(world.stop({one}).empty());
        CHECK(world.ended(world.exited(one)) == Lines{"report 1.1.1"});
    }
    SECTION("when it has ended: its report stands") {
        world.prepared(one);
        world.launched(one);
        world.ended(world.exited(one));
        CHECK(world.stop({one}).empty());
        CHECK(world.at(one).report.outcome == "exited");
    }
    SECTION("one that nobody knows") {
        CHECK(world.stop({three}).empty());
    }
}

TEST_CASE("a task whose files are on their way is stopped without them", "[attempts]") {
    AttemptsWorld world;
    world.attached();
    world.job.out = {"*.png"};
    world.run(1);
    CHECK(world.ended(world.exited(one, 7)) == Lines{"collect 1.1.1"});
    CHECK(world.stop({one}) == Lines{"report 1.1.1"});
    CHECK(world.at(one).report.outcome == "killed");
    CHECK_FALSE(world.at(one).report.exit_code);
    CHECK(world.at(one).report.output_bytes == 7);
    CHECK(world.acknowledge({one}) == Lines{"forget 1.1.1"});
    CHECK(world.collected(one) == Lines{"remove folder 1.1.1"});
}

TEST_CASE("a stop that the runner could not hear is told again", "[attempts]") {
    auto world = with_one_running();
    world.order(2);
    world.prepared(two);
    world.attempts.on_runner_gone();
    CHECK(world.stop({one, two}).empty());
    SECTION("the runner is the same") {
        CHECK(world.attached({world.running(one)}) == Lines{"kill 1.1.1: cancelled"});
        CHECK(world.launched(two) == Lines{"kill 1.2.1: cancelled"});
    }
    SECTION("it lost one") {
        CHECK(world.attached() == Lines{"report 1.1.1"});
        CHECK(world.at(one).report.outcome == "runner");
        CHECK(world.at(two).phase == Phase::launching);
    }
}

TEST_CASE("retracting gives back what has not started", "[attempts]") {
    AttemptsWorld world(1);
    world.attached();
    world.order(1);
    world.orders(2, 3, true);
    world.prepared(two);
    SECTION("what waits, prepared or not") {
        CHECK(world.stop({two, three}, true) ==
              Lines{"remove folder 1.2.1", "retracted 1.2.1 1.3.1"});
        CHECK(world.attempts.size() == 1);
        CHECK(world.prepared(three) == Lines{"remove folder 1.3.1"});
        CHECK(world.used_milli_cpus() == 1000);
    }
    SECTION("what is being prepared: its room goes to the next") {
        CHECK(world.stop({one}, true) == Lines{"retracted 1.1.1", "launch 1.2.1"});
        CHECK(world.not_prepared(one) == Lines{"remove folder 1.1.1"});
    }
    SECTION("not what was launched: its end answers") {
        world.prepared(one);
        CHECK(world.stop({one}, true).empty());
        world.launched(one);
        CHECK(world.stop({one}, true).empty());
        CHECK(world.ended(world.exited(one)) == Lines{"report 1.1.1", "launch 1.2.1"});
        CHECK(world.stop({one}, true).empty());
        CHECK(world.at(one).phase == Phase::ended);
    }
    SECTION("one that nobody knows") {
        CHECK(world.stop({{9, 9, 9}}, true).empty());
    }
}
