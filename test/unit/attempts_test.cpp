#include <catch2/catch.hpp>

#include "common/limits.hpp"
#include "test/unit/attempts_world.hpp"

using namespace rpic;
using namespace rpic::test;

namespace {

using Phase = NodeAttempts::Phase;

}  // namespace

TEST_CASE("an attempt from the order to the acknowledgement", "[attempts]") {
    AttemptsWorld world;
    CHECK(world.order(1) == Lines{"prepare 1.1.1"});
    CHECK(world.at(one).phase == Phase::preparing);
    CHECK(world.used_milli_cpus() == 1000);
    CHECK(world.prepared(one) == Lines{"launch 1.1.1"});
    CHECK(world.at(one).phase == Phase::launching);
    CHECK(world.prepared(one).empty());
    CHECK(world.attached().empty());
    CHECK(world.launched(one).empty());
    CHECK(world.at(one).phase == Phase::running);
    CHECK(world.launched(one).empty());
    world.now += 2s;
    CHECK(world.ended(world.exited(one, 5)) == Lines{"report 1.1.1"});
    CHECK(world.at(one).phase == Phase::ended);
    CHECK(world.at(one).report.key == one);
    CHECK(world.at(one).report.exit_code == 0);
    CHECK(world.used_milli_cpus() == 0);
    CHECK(world.ended(world.exited(one, 5)).empty());
    CHECK(world.acknowledge({one}) == Lines{"forget 1.1.1", "remove folder 1.1.1"});
    CHECK(world.attempts.size() == 0);
    CHECK(world.acknowledge({one}).empty());
}

TEST_CASE("the same order twice is one attempt", "[attempts]") {
    AttemptsWorld world;
    world.order(1);
    CHECK(world.order(1).empty());
    CHECK(world.used_milli_cpus() == 1000);
}

TEST_CASE("an order of an unknown job ends with a reason", "[attempts]") {
    AttemptsWorld world;
    StartTasks orders;
    orders.job = 7;
    orders.tasks.push_back({1, 1, "", false});
    const auto effects = world.happen(
        [&](NodeAttempts::Effects& e) { world.attempts.on_orders(world.now, orders, e); });
    CHECK(effects == Lines{"report 7.1.1"});
    CHECK(world.at({7, 1, 1}).report.outcome == "node");
    CHECK(world.acknowledge({{7, 1, 1}}).empty());
    CHECK(world.attempts.size() == 0);
}

TEST_CASE("what a job is holds for a connection and until it is dropped", "[attempts]") {
    AttemptsWorld world;
    world.order(1);
    StartTasks orders;
    orders.job = 1;
    orders.tasks.push_back({2, 1, "", false});
    const auto send = [&] {
        return world.happen(
            [&](NodeAttempts::Effects& e) { world.attempts.on_orders(world.now, orders, e); });
    };
    CHECK(send() == Lines{"prepare 1.2.1"});
    DropJob drop;
    drop.job = 1;
    world.attempts.on_drop_job(drop);
    orders.tasks = {{3, 1, "", false}};
    CHECK(send() == Lines{"report 1.3.1"});
    world.order(4);
    world.attempts.on_disconnected();
    world.join();
    world.resynced();
    orders.tasks = {{5, 1, "", false}};
    CHECK(send() == Lines{"report 1.5.1"});
}

TEST_CASE("a node takes a bounded number of orders", "[attempts]") {
    AttemptsWorld world;
    world.job.cpus = 0;
    const auto most = static_cast<std::int64_t>(limits::node_attempts);
    const auto effects = world.orders(1, most + 1, true);
    CHECK(world.attempts.size() == limits::node_attempts);
    CHECK(effects.back() == "end link: more tasks were ordered than a node takes");
}

TEST_CASE("a task that the node can never run ends at once", "[attempts]") {
    AttemptsWorld world;
    SECTION("cpus") {
        world.job.cpus = 2.5;
        CHECK(world.order(1) == Lines{"report 1.1.1"});
        CHECK(world.at(one).report.reason ==
              "this node offers 2 CPUs, 1000 of memory, camera=1, the task needs 2.5 CPUs, 0 of "
              "memory");
    }
    SECTION("memory") {
        world.job.memory_bytes = 1001;
        CHECK(world.order(1) == Lines{"report 1.1.1"});
    }
    SECTION("a resource that it does not have") {
        world.job.resources["laser"] = 1;
        CHECK(world.order(1) == Lines{"report 1.1.1"});
    }
    CHECK(world.at(one).report.outcome == "node");
    CHECK(world.used_milli_cpus() == 0);
}

TEST_CASE("entries that are queued ahead start in turn when there is room", "[attempts]") {
    AttemptsWorld world;
    world.attached();
    CHECK(world.orders(1, 2, true) == Lines{"prepare 1.1.1", "prepare 1.2.1"});
    CHECK(world.orders(3, 4, true) == Lines{"prepare 1.3.1", "prepare 1.4.1"});
    CHECK(world.at(two).phase == Phase::preparing);
    CHECK(world.at(three).phase == Phase::waiting);
    CHECK(world.prepared(three).empty());
    CHECK(world.prepared(one) == Lines{"launch 1.1.1"});
    CHECK(world.prepared(two) == Lines{"launch 1.2.1"});
    // What is prepared already is launched at the moment of an end.
    CHECK(world.ended(world.exited(one)) == Lines{"report 1.1.1", "launch 1.3.1"});
    CHECK(world.ended(world.exited(two)) == Lines{"report 1.2.1"});
    CHECK(world.at({1, 4, 1}).phase == Phase::preparing);
    CHECK(world.used_milli_cpus() == 2000);
}

TEST_CASE("a large entry ahead is not overtaken by small ones", "[attempts]") {
    auto world = with_one_running();
    world.job.cpus = 2;
    world.order(2, true);
    world.job.cpus = 1;
    world.order(3, true);
    world.prepared(two);
    world.prepared(three);
    CHECK(world.at(three).phase == Phase::waiting);
    CHECK(world.ended(world.exited(one)) == Lines{"report 1.1.1", "launch 1.2.1"});
    CHECK(world.at(three).phase == Phase::waiting);
}

TEST_CASE("an order that is due waits for room, before all that is ahead", "[attempts]") {
    auto world = with_one_running(1);
    world.order(2, true);
    world.prepared(two);
    CHECK(world.order(3) == Lines{"prepare 1.3.1"});
    CHECK(world.at(three).phase == Phase::waiting);
    world.prepared(three);
    CHECK(world.ended(world.exited(one)) == Lines{"report 1.1.1", "launch 1.3.1"});
    CHECK(world.at(two).phase == Phase::waiting);
}

TEST_CASE("orders that are due do not wait for one another", "[attempts]") {
    AttemptsWorld world;
    world.job.resources["camera"] = 1;
    world.orders(1, 2);
    CHECK(world.at(two).phase == Phase::waiting);
    world.job.resources.clear();
    world.order(3);
    CHECK(world.at(three).phase == Phase::preparing);
    // One that is queued ahead gets nothing while the master's own count is not met.
    world.order(4, true);
    CHECK(world.at({1, 4, 1}).phase == Phase::waiting);
}

TEST_CASE("cpus, memory and resources are never used twice", "[attempts]") {
    AttemptsWorld world(4);
    const auto waiting = [&](const AttemptKey& key) {
        return world.at(key).phase == Phase::waiting;
    };
    SECTION("cpus, in thousandths") {
        world.job.cpus = 0.1;
        world.orders(1, 40, true);
        CHECK_FALSE(waiting({1, 40, 1}));
        CHECK(world.used_milli_cpus() == 4000);
        world.order(41, true);
        CHECK(waiting({1, 41, 1}));
    }
    SECTION("memory") {
        world.job.memory_bytes = 400;
        world.orders(1, 3, true);
        CHECK_FALSE(waiting(two));
        CHECK(waiting(three));
    }
    SECTION("a resource") {
        world.job.resources["camera"] = 1;
        world.orders(1, 2, true);
        CHECK_FALSE(waiting(one));
        CHECK(waiting(two));
    }
}

TEST_CASE("numbers without sense hold nothing", "[attempts]") {
    AttemptsWorld world;
    world.job.cpus = -5;
    world.job.memory_bytes = -1000;
    world.job.resources["camera"] = -3;
    world.order(1);
    CHECK(world.attempts.slots().used() == Holding{});
}

TEST_CASE("a work folder that cannot be made is the node's fault", "[attempts]") {
    AttemptsWorld world;
    world.order(1);
    CHECK(world.not_prepared(one) == Lines{"report 1.1.1"});
    CHECK(world.at(one).report.outcome == "node");
    CHECK(world.at(one).report.reason == "disk full");
    CHECK_FALSE(world.at(one).report.exit_code);
    CHECK(world.used_milli_cpus() == 0);
    CHECK(world.not_prepared(one).empty());
    CHECK(world.prepared(one).empty());
    CHECK(world.acknowledge({one}) == Lines{"remove folder 1.1.1"});
}

TEST_CASE("what the job got wrong is told with exit code 126", "[attempts]") {
    AttemptsWorld world;
    world.order(1);
    CHECK(world.not_prepared(one, "cannot_execute") == Lines{"report 1.1.1"});
    CHECK(world.at(one).report.exit_code == 126);
}

TEST_CASE("a waiting entry that cannot be prepared ends without ever holding room", "[attempts]") {
    auto world = with_one_running(1);
    world.order(2, true);
    CHECK(world.not_prepared(two) == Lines{"report 1.2.1"});
    CHECK(world.used_milli_cpus() == 1000);
    CHECK(world.ended(world.exited(one)) == Lines{"report 1.1.1"});
    CHECK(world.used_milli_cpus() == 0);
}

TEST_CASE("tasks that run for a moment are told as started, together", "[attempts]") {
    AttemptsWorld world;
    world.attached();
    CHECK_FALSE(world.attempts.next_tick());
    world.run(1);
    world.run(2);
    CHECK(world.attempts.next_tick() == world.now + limits::started_after);
    world.now += limits::started_after - 1ms;
    CHECK(world.tick().empty());
    world.now += 1ms;
    CHECK(world.tick() == Lines{"started 1.1.1 1.2.1"});
    CHECK(world.tick().empty());
    CHECK_FALSE(world.attempts.next_tick());
}

TEST_CASE("a task that has ended within the moment is not told as started", "[attempts]") {
    auto world = with_one_running();
    world.ended(world.exited(one));
    world.now += 1s;
    CHECK(world.tick().empty());
}

TEST_CASE("a started one is not told without a link: the resync says it", "[attempts]") {
    auto world = with_one_running();
    world.attempts.on_disconnected();
    world.now += 1s;
    CHECK(world.tick().empty());
    CHECK(world.join() == Lines{"resync 1.1.1r"});
    CHECK(world.resynced({{one, "adopt"}}).empty());
    CHECK(world.tick().empty());
}

TEST_CASE("an acknowledgement of what runs means that nobody wants it", "[attempts]") {
    auto world = with_one_running();
    CHECK(world.acknowledge({one}) == Lines{"kill 1.1.1: its result is not wanted any more"});
    world.now += 1s;
    CHECK(world.tick().empty());
    CHECK(world.ended(world.exited(one, 5)) == Lines{"forget 1.1.1", "remove folder 1.1.1"});
    CHECK(world.attempts.size() == 0);
    CHECK(world.used_milli_cpus() == 0);
}

TEST_CASE("the end of an attempt that nobody knows is forgotten", "[attempts]") {
    AttemptsWorld world;
    world.attached();
    CHECK(world.ended(world.exited(one)) == Lines{"forget 1.1.1"});
    CHECK(world.attempts.size() == 0);
}

TEST_CASE("a launch that no runner could carry out", "[attempts]") {
    AttemptsWorld world;
    world.order(1);
    world.prepared(one);
    auto seen = world.exited(one);
    seen.report.outcome = "node";
    CHECK(world.ended(seen) == Lines{"report 1.1.1"});
    CHECK(world.at(one).report.outcome == "node");
    CHECK(world.used_milli_cpus() == 0);
}

TEST_CASE("the lease is extended for those who need it", "[attempts]") {
    auto world = with_one_running();
    CHECK(world.heartbeat_acknowledged(Instant{1001s}).empty());
    world.job.stop_after_seconds = 30;
    world.order(2);
    world.now = Instant{1005s};
    CHECK(world.prepared(two) == Lines{"lease from 1001", "launch 1.2.1"});
    CHECK(world.heartbeat_acknowledged(Instant{1004s}) == Lines{"lease from 1004"});
    // Never back, and not twice.
    CHECK(world.heartbeat_acknowledged(Instant{1004s}).empty());
    CHECK(world.heartbeat_acknowledged(Instant{1003s}).empty());
    world.attempts.on_runner_gone();
    CHECK(world.heartbeat_acknowledged(Instant{1006s}).empty());
    CHECK(world.attached({world.running(one)}) == Lines{"lease from 1006"});
    world.launched(two);
    world.ended(world.exited(two));
    CHECK(world.heartbeat_acknowledged(Instant{1009s}).empty());
}

TEST_CASE("what lost its lease before it was launched does not start", "[attempts]") {
    AttemptsWorld world;
    world.attached();
    world.job.stop_after_seconds = 30;
    world.orders(1, 2);
    // The answer to the resync proves that the master heard this node at 1000.
    world.now = Instant{1029s};
    CHECK(world.prepared(one) == Lines{"lease from 1000", "launch 1.1.1"});
    world.now = Instant{1030s};
    CHECK(world.prepared(two) == Lines{"report 1.2.1"});
    CHECK(world.at(two).report.outcome == "lease");
    CHECK(world.used_milli_cpus() == 1000);
}

TEST_CASE("before the answer to its resync a node's lease is not extended", "[attempts]") {
    auto world = with_one_running();
    world.job.stop_after_seconds = 30;
    world.order(2);
    world.prepared(two);
    world.launched(two);
    world.attempts.on_disconnected();
    world.now = Instant{1020s};
    world.join();
    // The master may have given the task to another node, and its answer will say so.
    CHECK(world.heartbeat_acknowledged(Instant{1020s}).empty());
    CHECK(world.resynced() == Lines{"lease from 1020"});
}
