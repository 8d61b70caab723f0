#include <catch2/catch.hpp>

#include "test/unit/attempts_world.hpp"

// Tasks that are so short that the runner has the next one already.

using namespace rpic;
using namespace rpic::test;

namespace {

using Phase = NodeAttempts::Phase;

/// One CPU. Task 1 was short, task 2 runs, tasks 3 and 4 wait with their folders ready.
struct SuccessorWorld : AttemptsWorld {
    SuccessorWorld() : AttemptsWorld(1) {
        attached();
        run(1);
        orders(2, 4, true);
        for (const auto& key : {two, three, four}) prepared(key);
        told = ended(soon_exited(one));
        launched(two);
    }
    Lines told;
};

}  // namespace

TEST_CASE("a short task has a successor, which takes its slot", "[attempts]") {
    SuccessorWorld world;
    CHECK(world.told == Lines{"report 1.1.1", "launch 1.2.1", "launch 1.3.1 after 1.2.1"});
    CHECK(world.at(three).phase == Phase::launching);
    CHECK(world.at(four).phase == Phase::waiting);
    CHECK(world.used_milli_cpus() == 1000);
    CHECK(world.ended(world.soon_exited(two)) == Lines{"report 1.2.1", "launch 1.4.1 after 1.3.1"});
    CHECK(world.used_milli_cpus() == 1000);
    CHECK(world.launched(three).empty());
    CHECK(world.used_milli_cpus() == 1000);
    CHECK(world.ended(world.soon_exited(three)) == Lines{"report 1.3.1"});
    CHECK(world.ended(world.soon_exited(four)) == Lines{"report 1.4.1"});
    CHECK(world.used_milli_cpus() == 0);
}

TEST_CASE("long tasks, and those of another job, have no successors", "[attempts]") {
    AttemptsWorld world(1);
    world.attached();
    world.run(1);
    world.orders(2, 3, true);
    world.prepared(two);
    world.prepared(three);
    auto seen = world.soon_exited(one);
    seen.report.duration_seconds = 5;
    CHECK(world.ended(seen) == Lines{"report 1.1.1", "launch 1.2.1"});
    StartTasks other;
    other.job = 2;
    other.spec = world.job;
    other.tasks.push_back({1, 1, "", true});
    world.happen([&](NodeAttempts::Effects& e) {
        world.attempts.on_stop(world.now, StopAttempts{{three}, true, ""}, e);
        world.attempts.on_orders(world.now, other, e);
        world.attempts.on_prepared(world.now, {2, 1, 1}, e);
    });
    CHECK(world.ended(world.soon_exited(two)) == Lines{"report 1.2.1", "launch 2.1.1"});
}

TEST_CASE("a task whose lease may end is no successor", "[attempts]") {
    AttemptsWorld world(1);
    world.job.stop_after_seconds = 100;
    world.heartbeat_acknowledged(world.now);
    world.attached();
    world.run(1);
    world.orders(2, 3, true);
    world.prepared(two);
    world.prepared(three);
    CHECK(world.ended(world.soon_exited(one)) ==
          Lines{"report 1.1.1", "lease from 1000", "launch 1.2.1"});
}

TEST_CASE("a successor starts in any slot that is free before", "[attempts]") {
    AttemptsWorld world(2);
    world.attached();
    world.run(1);
    const AttemptKey five{1, 5, 1};
    world.order(5);
    world.prepared(five);
    world.launched(five);
    world.orders(2, 3, true);
    world.prepared(two);
    world.prepared(three);
    CHECK(world.ended(world.soon_exited(one)) ==
          Lines{"report 1.1.1", "launch 1.2.1", "launch 1.3.1 after 1.2.1"});
    CHECK(world.ended(world.soon_exited(five)) == Lines{"report 1.5.1", "start 1.3.1"});
    CHECK(world.used_milli_cpus() == 2000);
    CHECK(world.ended(world.soon_exited(two)) == Lines{"report 1.2.1"});
    CHECK(world.used_milli_cpus() == 1000);
    CHECK(world.launched(three).empty());
    CHECK(world.used_milli_cpus() == 1000);
}

TEST_CASE("a successor that ends before its time makes room for another", "[attempts]") {
    SuccessorWorld world;
    CHECK(world.stop({three}) == Lines{"kill 1.3.1: cancelled"});
    auto seen = world.exited(three);
    seen.report.outcome = "killed";
    CHECK(world.ended(seen) == Lines{"report 1.3.1", "launch 1.4.1 after 1.2.1"});
    CHECK(world.used_milli_cpus() == 1000);
    CHECK(world.ended(world.soon_exited(two)) == Lines{"report 1.2.1"});
    CHECK(world.used_milli_cpus() == 1000);
}

TEST_CASE("a successor is no longer given back, and waits as far as the master knows",
          "[attempts]") {
    SuccessorWorld world;
    CHECK(world.stop({three, four}, true) == Lines{"remove folder 1.4.1", "retracted 1.4.1"});
    world.attempts.on_disconnected();
    CHECK(world.join() == Lines{"resync 1.1.1e 1.2.1r 1.3.1w"});
}

TEST_CASE("a successor survives the death of the runner, and of the one before it", "[attempts]") {
    SuccessorWorld world;
    world.attempts.on_runner_gone();
    CHECK(world.attached() == Lines{"report 1.2.1", "launch 1.4.1 after 1.3.1"});
    CHECK(world.at(two).report.outcome == "runner");
    CHECK(world.at(three).phase == Phase::launching);
    CHECK(world.used_milli_cpus() == 1000);
    CHECK(world.launched(three).empty());
    CHECK(world.at(three).phase == Phase::running);
    CHECK(world.used_milli_cpus() == 1000);
}
