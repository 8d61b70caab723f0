#include "test/unit/jobs_world.hpp"

using namespace rpic;
using namespace rpic::test;

TEST_CASE("Draining retracts what waits and moves what still runs at the deadline", "[jobs]") {
    JobsWorld world;
    world.worker("a", 1);
    world.submit(world.spec("1-2"));
    world.place();
    world.beat({1});
    Effects effects;
    world.cluster.set_draining("a", true, effects);
    world.jobs.on_drain(*world.cluster.find("a"), world.at() + 5s, effects);
    Lines lines;
    for (const auto& effect : effects) lines.push_back(words_of(effect));
    CHECK(lines == Lines{"(node_draining)", "save a", "retract 1.2#1 on 1: retracted"});
    world.retracted(1, {1, 2, 1});
    world.place();
    CHECK(world.effects().empty());
    world.pass(5s);
    CHECK(world.effects() == Lines{"stop 1.1#1 on 1: drained"});
    world.ended(1, {1, 1, 1}, 0, "killed");
    CHECK(world.effects() == Lines{"task 1.0 []", "ack 1.1#1 on 1"});
    CHECK(world.state(1) == "queued");
}

TEST_CASE("A node reboots once it is empty", "[jobs]") {
    JobsWorld world;
    world.worker("a", 1);
    world.submit(world.spec());
    world.place();
    Effects effects;
    world.cluster.set_draining("a", true, effects);
    effects.clear();
    world.jobs.power(*world.cluster.find("a"), "reboot", effects);
    REQUIRE(effects.size() == 1);
    CHECK(words_of(effects.front()) == "save a");
    world.ended(1, {1, 0, 1});
    CHECK(world.effects().back() == "reboot on 1");
}

TEST_CASE("A node reboots also when what it had was given back or lost", "[jobs]") {
    JobsWorld world;
    world.worker("a", 1);
    world.submit(world.spec());
    world.place();
    Effects effects;
    world.cluster.set_draining("a", true, effects);
    world.jobs.power(*world.cluster.find("a"), "reboot", effects);
    world.disconnect(1);
    world.connect("a", 2);
    world.resync(2, {});
    world.beat({2});
    world.pass(250ms);
    CHECK(world.effects() == Lines{"save a", "reboot on 2"});
}

namespace {

/// A master that has restarted and knows this node from its store.
struct Restarted {
    explicit Restarted(const NodeRecord& record) {
        Effects effects;
        world.cluster.restore(record);
        world.jobs.restored(world.now, effects);
    }

    Lines comes_back(SessionId session, const std::string& boot) {
        world.boot = boot;
        world.connect("a", session);
        world.resync(session, {});
        world.beat({session});
        world.pass(250ms);
        return world.effects();
    }

    JobsWorld world;
};

}  // namespace

TEST_CASE("A restart of the master forgets no reboot, and repeats none", "[jobs]") {
    JobsWorld world;
    world.worker("a", 1);
    world.submit(world.spec());
    world.place();
    Effects effects;
    const auto& record = world.cluster.find("a")->record;
    world.cluster.set_draining("a", true, effects);
    world.jobs.power(*world.cluster.find("a"), "reboot", effects);

    SECTION("while something runs there") {
        Restarted after(record);
        CHECK(after.comes_back(2, "boot 1") == Lines{"save a", "reboot on 2"});
    }
    SECTION("the node went and came back while there was no master: nobody had ordered it") {
        Restarted after(record);
        CHECK(after.comes_back(2, "boot 2") == Lines{"save a", "reboot on 2"});
    }
    SECTION("undrained meanwhile") {
        world.cluster.set_draining("a", false, effects);
        CHECK(Restarted(record).comes_back(2, "boot 1").empty());
    }
    SECTION("once it was ordered") {
        world.ended(1, {1, 0, 1});
        CHECK(world.effects().back() == "reboot on 1");
        world.pass(1s);
        CHECK(world.effects().empty());

        SECTION("and the node has rebooted") {
            Restarted after(record);
            CHECK(after.comes_back(2, "boot 2").empty());
            CHECK(after.world.cluster.find("a")->record.power.empty());
            CHECK(after.world.cluster.find("a")->record.draining);
        }
        SECTION("and the node has said that it will") {
            world.cluster.on_power_taken(1, "reboot", effects);
            CHECK(words_of(effects.back()) == "save a");
            CHECK(Restarted(record).comes_back(2, "boot 1").empty());
        }
        SECTION("but the node may not have heard of it") {
            world.cluster.on_power_taken(1, "poweroff", effects);  // not what it was told
            Restarted after(record);
            CHECK(after.comes_back(2, "boot 1") == Lines{"reboot on 2"});
        }
    }
}

TEST_CASE("A restart of the master begins the time to drain anew", "[jobs]") {
    JobsWorld world;
    world.worker("a", 1);
    Effects effects;
    world.cluster.set_draining("a", true, effects, 5s);
    Restarted after(world.cluster.find("a")->record);
    CHECK(after.world.jobs.worker("a")->drain_deadline == after.world.at() + 5s);
    after.world.pass(5s);
    CHECK(after.world.effects() == Lines{"save a"});
    CHECK(after.world.cluster.find("a")->record.drain_seconds == 0);
}
