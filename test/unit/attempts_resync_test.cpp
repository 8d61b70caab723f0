#include <algorithm>
#include <catch2/catch.hpp>

#include "common/limits.hpp"
#include "test/unit/attempts_world.hpp"

using namespace rpic;
using namespace rpic::test;

namespace {

using Phase = NodeAttempts::Phase;

/// A node with two CPUs, a runner and an attempt in each state: one runs, two is prepared, three
/// waits, four has ended with 5 bytes of output and was reported.
AttemptsWorld with_four() {
    AttemptsWorld world;
    world.attached();
    world.run(4);
    REQUIRE(world.ended(world.exited(four, 5)) == Lines{"report 1.4.1"});
    world.run(1);
    world.order(2);
    world.order(3, true);
    return world;
}

NodeAttempts::Collected with_output() {
    NodeAttempts::Collected collected;
    collected.output_here = true;
    return collected;
}

}  // namespace

TEST_CASE("nothing is told before the runner's list is known", "[attempts]") {
    AttemptsWorld world(2, false);
    CHECK(world.join().empty());
    SECTION("there is no runner") {
        CHECK(world.no_runner() == Lines{"resync"});
    }
    SECTION("a runner with tasks of an earlier slave") {
        CHECK(world.attached({world.running(one), world.exited(two)}) ==
              Lines{"resync 1.1.1r 1.2.1e"});
        CHECK(world.used_milli_cpus() == 1000);
        CHECK(world.resynced({{one, "adopt"}, {two, "adopt"}}) == Lines{"report 1.2.1"});
        world.now += 1s;
        CHECK(world.tick().empty());
        CHECK(world.ended(world.exited(one)) == Lines{"report 1.1.1"});
        CHECK(world.used_milli_cpus() == 0);
    }
    SECTION("the link goes and comes before that") {
        world.attempts.on_disconnected();
        CHECK(world.attached({world.running(one)}).empty());
        CHECK(world.join() == Lines{"resync 1.1.1r"});
    }
}

TEST_CASE("a resync names everything, and nothing else is told before its answer", "[attempts]") {
    auto world = with_four();
    world.attempts.on_disconnected();
    CHECK(world.join() == Lines{"resync 1.1.1r 1.2.1r 1.3.1w 1.4.1e"});
    CHECK(world.join().empty());
    world.now += 1s;
    CHECK(world.tick().empty());
    CHECK(world.ended(world.exited(one)).empty());
    CHECK(world.resynced({{one, "adopt"}, {two, "adopt"}}, true).empty());
    CHECK_FALSE(world.attempts.resynced());
    // Its output is not in memory any more: it was told before.
    CHECK(world.resynced({{three, "adopt"}, {four, "adopt"}}) ==
          Lines{"report 1.1.1", "collect 1.4.1"});
    CHECK(world.at(four).phase == Phase::ended);
    CHECK(world.collected(four, with_output()) == Lines{"report 1.4.1"});
    CHECK(world.resynced({{two, "kill"}}).empty());
    CHECK(world.at(two).phase == Phase::preparing);
}

TEST_CASE("an answer to no resync means nothing", "[attempts]") {
    AttemptsWorld world(2, false);
    CHECK(world.resynced().empty());
    CHECK_FALSE(world.attempts.resynced());
}

TEST_CASE("the verdict kill", "[attempts]") {
    auto world = with_four();
    world.attempts.on_disconnected();
    world.join();
    CHECK(world.resynced({{one, "kill"}, {two, "kill"}, {three, "kill"}, {four, "kill"}}) ==
          Lines{"kill 1.1.1: its result is not wanted any more", "forget 1.4.1",
                "remove folder 1.4.1"});
    CHECK(world.attempts.size() == 1);
    CHECK(world.prepared(two) == Lines{"remove folder 1.2.1"});
    CHECK(world.ended(world.exited(one, 9)) == Lines{"forget 1.1.1", "remove folder 1.1.1"});
    CHECK(world.attempts.size() == 0);
    CHECK(world.used_milli_cpus() == 0);
}

TEST_CASE("the verdict ack", "[attempts]") {
    auto world = with_four();
    world.attempts.on_disconnected();
    world.join();
    CHECK(world.resynced({{four, "ack"}, {{7, 7, 7}, "ack"}}) ==
          Lines{"forget 1.4.1", "remove folder 1.4.1"});
    CHECK(world.attempts.find(four) == nullptr);
}

TEST_CASE("room that a verdict makes is used", "[attempts]") {
    auto world = with_four();
    world.prepared(three);
    world.attempts.on_disconnected();
    world.join();
    CHECK(world.resynced({{two, "kill"}}) == Lines{"collect 1.4.1", "launch 1.3.1"});
}

TEST_CASE("one that dies by a verdict is named again until it is dead", "[attempts]") {
    auto world = with_four();
    world.attempts.on_disconnected();
    world.join();
    world.resynced({{one, "kill"}});
    world.attempts.on_disconnected();
    CHECK(world.join().front().find("1.1.1r") != std::string::npos);
    CHECK(world.ended(world.exited(one)) == Lines{"forget 1.1.1", "remove folder 1.1.1"});
    CHECK(world.resynced({{one, "kill"}}).empty());
}

TEST_CASE("a restored master hears how what its predecessor gave up has ended", "[attempts]") {
    auto world = with_four();
    world.attempts.on_disconnected();
    world.join();
    world.resynced({{one, "kill"}});
    world.attempts.on_disconnected();
    world.join();
    world.resynced({{one, "adopt"}});
    const auto lines = world.ended(world.exited(one));
    CHECK(std::find(lines.begin(), lines.end(), "report 1.1.1") != lines.end());
    CHECK(world.attempts.find(one) != nullptr);
}

TEST_CASE("work goes on without a link, and is told when it is back", "[attempts]") {
    auto world = with_four();
    world.attempts.on_disconnected();
    CHECK(world.prepared(two) == Lines{"launch 1.2.1"});
    CHECK(world.launched(two).empty());
    CHECK(world.prepared(three).empty());
    CHECK(world.ended(world.exited(one)) == Lines{"launch 1.3.1"});
    CHECK(world.ended(world.exited(two, 10)).empty());
    CHECK(world.join() == Lines{"resync 1.1.1e 1.2.1e 1.3.1r 1.4.1e"});
    CHECK(world.resynced() == Lines{"report 1.1.1", "report 1.2.1", "collect 1.4.1"});
}

TEST_CASE("without a link a bounded amount of output stays in memory", "[attempts]") {
    AttemptsWorld world;
    world.attached();
    world.run(1);
    world.run(2);
    world.attempts.on_disconnected();
    const auto most = static_cast<std::int64_t>(limits::held_output_bytes);
    CHECK(world.ended(world.exited(one, most)).empty());
    CHECK(world.ended(world.exited(two, 1)) == Lines{"drop output 1.2.1"});
    world.join();
    CHECK(world.resynced() == Lines{"report 1.1.1", "collect 1.2.1"});
    world.attempts.on_disconnected();
    world.join();
    // The first is not in memory any more either, and the second is on its way already.
    CHECK(world.resynced() == Lines{"collect 1.1.1"});
    CHECK(world.collected(two, with_output()) == Lines{"report 1.2.1"});
    world.attempts.on_disconnected();
    CHECK(world.collected(one, with_output()).empty());
    CHECK(world.acknowledge({one}) ==
          Lines{"drop output 1.1.1", "forget 1.1.1", "remove folder 1.1.1"});
}

TEST_CASE("output that even the runner has lost is not waited for", "[attempts]") {
    AttemptsWorld world(2, false);
    world.attached({world.exited(one, 5)});
    CHECK(world.at(one).phase == Phase::collecting);
    CHECK(world.join() == Lines{"resync 1.1.1r"});
    CHECK(world.resynced().empty());
    CHECK(world.collected(one) == Lines{"report 1.1.1"});
    CHECK(world.at(one).report.output_bytes == 0);
}

TEST_CASE("large output and files go to the master before the report", "[attempts]") {
    AttemptsWorld world;
    world.attached();
    world.job.out = {"*.png"};
    world.run(1);
    auto seen = world.exited(one, 1'000'000);
    seen.output_file = "/some/file";
    CHECK(world.ended(seen, false) == Lines{"collect 1.1.1"});
    CHECK(world.used_milli_cpus() == 0);
    NodeAttempts::Collected collected;
    SECTION("they arrive") {
        collected.output_blob = "b10b";
        collected.files = "f11e5";
        CHECK(world.collected(one, collected) == Lines{"report 1.1.1"});
        CHECK(world.at(one).report.output_blob == "b10b");
        CHECK(world.at(one).report.files == "f11e5");
        CHECK(world.at(one).report.output_bytes == 1'000'000);
        CHECK(world.collected(one, collected).empty());
        // A blob is the master's: it need not be brought again.
        world.attempts.on_disconnected();
        CHECK(world.join() == Lines{"resync 1.1.1e"});
        CHECK(world.resynced() == Lines{"report 1.1.1"});
    }
    SECTION("they do not, and the report says so") {
        collected.trouble = "the disk is broken";
        CHECK(world.collected(one, collected) == Lines{"report 1.1.1"});
        CHECK(world.at(one).report.reason == "the disk is broken");
        CHECK(world.at(one).report.output_bytes == 0);
        CHECK(world.at(one).report.exit_code == 0);
    }
    SECTION("the link goes meanwhile") {
        world.attempts.on_disconnected();
        CHECK(world.join() == Lines{"resync 1.1.1r"});
        CHECK(world.resynced().empty());
        CHECK(world.collected(one, collected) == Lines{"report 1.1.1"});
    }
}

TEST_CASE("a master that was restored from a backup gets files again", "[attempts]") {
    AttemptsWorld world;
    world.attached();
    world.job.out = {"*.png"};
    world.run(1);
    NodeAttempts::Collected collected;
    collected.files = "f11e5";
    SECTION("that the one before had got") {
        world.ended(world.exited(one));
        REQUIRE(world.collected(one, collected) == Lines{"report 1.1.1"});
        world.attempts.on_disconnected();
        CHECK(world.master_restored() == Lines{"collect 1.1.1"});
        CHECK(world.at(one).report.files.empty());
        CHECK(world.join() == Lines{"resync 1.1.1r"});
        CHECK(world.resynced().empty());
        CHECK(world.collected(one, collected) == Lines{"report 1.1.1"});
        CHECK(world.at(one).report.files == "f11e5");
    }
    SECTION("that were under way: some of them went to the one before") {
        world.ended(world.exited(one));
        world.attempts.on_disconnected();
        CHECK(world.master_restored().empty());
        CHECK(world.join() == Lines{"resync 1.1.1r"});
        CHECK(world.resynced().empty());
        CHECK(world.collected(one, collected) == Lines{"collect 1.1.1"});
        CHECK(world.collected(one, collected) == Lines{"report 1.1.1"});
    }
    SECTION("but nothing of what runs, or has none") {
        world.run(2);
        auto failed = world.exited(two);
        failed.report.outcome = "killed";
        CHECK(world.ended(failed) == Lines{"report 1.2.1"});
        world.attempts.on_disconnected();
        CHECK(world.master_restored().empty());
        CHECK(world.at(one).phase == Phase::running);
        CHECK(world.at(two).phase == Phase::ended);
    }
}

TEST_CASE("files come back from what ran to an end of its own", "[attempts]") {
    AttemptsWorld world;
    world.attached();
    world.job.out = {"*"};
    world.run(1);
    auto seen = world.exited(one);
    for (const auto* outcome : {"exited", "signalled", "time_limit", "memory"}) {
        auto copy = world;
        seen.report.outcome = outcome;
        CHECK(copy.ended(seen) == Lines{"collect 1.1.1"});
    }
    for (const auto* outcome :
         {"cannot_execute", "not_found", "killed", "lease", "runner", "node"}) {
        auto copy = world;
        seen.report.outcome = outcome;
        CHECK(copy.ended(seen) == Lines{"report 1.1.1"});
    }
}

TEST_CASE("the runner dies", "[attempts]") {
    auto world = with_four();
    world.prepared(two);
    world.launched(two);
    world.prepared(three);
    world.attempts.on_runner_gone();
    SECTION("the next one knows how its tasks ended") {
        auto dead = world.exited(one);
        dead.report.outcome = "runner";
        CHECK(world.attached({dead, world.running(two), world.exited(four, 5)}) ==
              Lines{"report 1.1.1", "launch 1.3.1"});
        CHECK(world.at(one).report.outcome == "runner");
        CHECK(world.at(two).phase == Phase::running);
        CHECK(world.at(four).phase == Phase::ended);
    }
    SECTION("the next one knows nothing") {
        CHECK(world.attached() == Lines{"report 1.1.1", "report 1.2.1", "launch 1.3.1"});
        CHECK(world.at(one).report.outcome == "runner");
        CHECK(world.at(one).report.reason == "its runner was killed");
        // It has nothing to forget.
        CHECK(world.acknowledge({one, two, four}) ==
              Lines{"remove folder 1.1.1", "remove folder 1.2.1", "remove folder 1.4.1"});
        CHECK(world.used_milli_cpus() == 1000);
    }
    SECTION("a launch without an answer is not lost with it") {
        world.ended(world.exited(one));
        CHECK(world.at(three).phase == Phase::launching);
        world.attempts.on_runner_gone();
        world.attached({world.running(two), world.exited(one), world.exited(four)});
        CHECK(world.at(three).phase == Phase::launching);
        CHECK(world.launched(three).empty());
        CHECK(world.at(three).phase == Phase::running);
    }
    SECTION("what was acknowledged meanwhile is forgotten by the next one") {
        CHECK(world.acknowledge({four}) == Lines{"remove folder 1.4.1"});
        CHECK(world.attached({world.running(one), world.running(two), world.exited(four)}) ==
              Lines{"forget 1.4.1"});
        CHECK(world.attempts.find(four) == nullptr);
        world.attempts.on_runner_gone();
        CHECK(world.attached({world.running(one), world.running(two)}).empty());
    }
}

TEST_CASE("a launch that an earlier runner took is told as started", "[attempts]") {
    AttemptsWorld world;
    world.order(1);
    world.prepared(one);
    CHECK(world.attached({world.running(one)}).empty());
    CHECK(world.at(one).phase == Phase::running);
    world.now += 1s;
    CHECK(world.tick() == Lines{"started 1.1.1"});
}

TEST_CASE("adopted tasks may hold more than the node offers now", "[attempts]") {
    AttemptsWorld world(1, false);
    world.join();
    world.attached({world.running(one), world.running(two)});
    world.resynced();
    CHECK(world.used_milli_cpus() == 2000);
    world.order(3);
    world.prepared(three);
    CHECK(world.ended(world.exited(one)) == Lines{"report 1.1.1"});
    CHECK(world.ended(world.exited(two)) == Lines{"report 1.2.1", "launch 1.3.1"});
}
