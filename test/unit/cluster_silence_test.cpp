#include <catch2/catch.hpp>
#include <limits>
#include <string>

#include "test/unit/cluster_world.hpp"

using namespace rpic;
using namespace rpic::test;

namespace {

NodeRecord stored(const std::string& id, const std::string& name) {
    NodeRecord record;
    record.id = id;
    record.name = record.wished_name = name;
    record.role = "worker";
    record.fingerprint = "board of " + name;
    record.key_identity = "key of " + name;
    record.confirmed = true;
    return record;
}

}  // namespace

TEST_CASE("a silent node is suspect, then lost, at exactly these times") {
    auto world = with_one_node();
    const auto began = world.now;
    for (const auto silence : {Duration(0s), Duration(5s), Duration(limits::suspect_after) - 1ns}) {
        world.now = began + silence;
        world.tick();
        CHECK(world.effects().empty());
        CHECK(world.state("pi") == "online");
    }
    world.now = began + limits::suspect_after;
    world.tick();
    CHECK(world.effects() == Lines{"warn: node pi is suspect: silent for 15s"});
    CHECK(world.state("pi") == "suspect");
    for (const auto silence :
         {Duration(limits::suspect_after), Duration(limits::lost_after) - 1ns}) {
        world.now = began + silence;
        world.tick();
        CHECK(world.effects().empty());
    }
    world.now = began + limits::lost_after;
    world.tick();
    CHECK(world.effects() ==
          Lines{"warn: node pi is lost: silent for 20s", "close 1 silent: silent for 20s"});
    CHECK(world.state("pi") == "lost");
    CHECK(world.node("pi").lost_at == world.now);
    for (int i = 0; i < 3; ++i) {
        world.now += 1h;
        world.tick();
        CHECK(world.effects().empty());
    }
    world.disconnected(1);
    CHECK(world.effects().empty());
    CHECK(world.state("pi") == "lost");
    CHECK(world.node("pi").session == 0);
}

TEST_CASE("a late tick makes an online node lost without a stop at suspect") {
    auto world = with_one_node();
    world.now += 30s;
    world.tick();
    CHECK(world.effects() ==
          Lines{"warn: node pi is lost: silent for 30s", "close 1 silent: silent for 30s"});
}

TEST_CASE("any byte proves life") {
    auto world = with_one_node();
    world.now += 14s;
    world.heard(1);
    CHECK(world.effects().empty());
    const auto version = world.cluster.version();
    world.heard(1);
    CHECK(world.cluster.version() == version);  // nothing that viewers see
    world.now += limits::suspect_after;
    world.tick();
    CHECK(world.effects() == Lines{"warn: node pi is suspect: silent for 15s"});
    world.now += 1s;
    world.heard(1);
    CHECK(world.effects() == Lines{"info: node pi is online: it speaks again"});
    CHECK(world.state("pi") == "online");
    world.now += limits::suspect_after - 1ns;
    world.tick();
    CHECK(world.effects().empty());
}

TEST_CASE("vitals alone do not change the state") {
    auto world = with_one_node();
    world.now += 17s;
    world.tick();
    Vitals vitals;
    vitals.cpu_percent = 12;
    world.vitals(1, vitals);
    CHECK(world.state("pi") == "suspect");
    CHECK(world.node("pi").vitals.cpu_percent == 12.0);
    CHECK(world.cluster.version() == world.node("pi").changed);
}

TEST_CASE("a closed link makes a node suspect at once and lost by its silence") {
    auto world = with_one_node();
    world.now += 4s;
    world.heard(1);
    world.now += 1s;
    world.disconnected(1, "it said goodbye");
    CHECK(world.effects() == Lines{"warn: node pi is suspect: it said goodbye"});
    CHECK(world.node("pi").session == 0);
    CHECK(world.node("pi").address == "a:1");
    world.disconnected(1);
    CHECK(world.effects().empty());
    world.now += 19s - 1ns;
    world.tick();
    CHECK(world.effects().empty());
    world.now += 1ns;  // 20 s after the last byte, not after the end of the link
    world.tick();
    CHECK(world.effects() == Lines{"warn: node pi is lost: silent for 20s"});
    CHECK(world.rejoin("id1", 2, hello_of("pi", "board 1")) == "id1 pi");
    CHECK(world.effects() == Lines{"info: node pi is online: connected from a:1"});
    CHECK_FALSE(world.node("pi").lost_at.has_value());
}

TEST_CASE("a suspect node whose link closes is not announced again") {
    auto world = with_one_node();
    world.now += 16s;
    world.tick();
    world.disconnected(1);
    CHECK(world.effects().empty());
    CHECK(world.state("pi") == "suspect");
}

TEST_CASE("nodes are judged one by one") {
    auto world = with_one_node();
    world.join(2, hello_of("po", "board 2"));
    world.now += 10s;
    world.heard(2);
    world.now += 10s;
    world.tick();
    CHECK(world.effects() ==
          Lines{"warn: node pi is lost: silent for 20s", "close 1 silent: silent for 20s"});
    CHECK(world.state("po") == "online");
    CHECK(world.cluster.count_by_state() ==
          std::map<std::string, std::int64_t>{{"online", 1}, {"suspect", 0}, {"lost", 1}});
}

TEST_CASE("after a master start known nodes have time to come back") {
    World world;
    world.cluster.restore(stored("a", "pi"));
    world.cluster.restore(stored("b", "po"));
    CHECK(world.state("pi") == "suspect");
    CHECK_FALSE(view_of(world.node("pi"), world.now).last_seen_seconds.has_value());
    const auto began = world.now;
    for (const auto since : {Duration(1s), Duration(25s), Duration(90s) - 1ns}) {
        world.now = began + since;
        world.tick();
        CHECK(world.effects().empty());
    }
    CHECK(world.rejoin("b", 1, hello_of("po", "board of po")) == "b po");
    CHECK(world.effects() == Lines{"info: node po is online: connected from a:1", "save b po"});
    world.now = began + limits::lost_after_master_start;
    world.tick();
    CHECK(world.effects() == Lines{"warn: node pi is lost: silent for 90s"});
    CHECK(world.state("po") == "online");
    // One that came back has the usual time from then on.
    world.disconnected(1);
    world.now += limits::lost_after - 1ns;
    world.tick();
    CHECK(world.effects() == Lines{"warn: node po is lost: silent for 20s"});
}

TEST_CASE("a long time to be lost is not shortened by a master start") {
    World world;
    Cluster patient({15s, 120s, 90s}, world.now);
    patient.restore(stored("a", "pi"));
    Effects effects;
    patient.on_tick(world.now + 120s - 1ns, effects);
    CHECK(effects.empty());
    patient.on_tick(world.now + 120s, effects);
    CHECK(effects.size() == 2);
}

TEST_CASE("people are told of each state of a node") {
    World world;
    world.join(1, hello_of("pi", "board of pi"));
    CHECK(world.happened() == Lines{"node_online pi"});
    world.disconnected(1);
    CHECK(world.happened() == Lines{"node_suspect pi"});
    world.now += limits::lost_after;
    world.tick();
    CHECK(world.happened() == Lines{"node_lost pi"});
    world.tick();
    CHECK(world.happened().empty());
}

TEST_CASE("restored nodes are known by name, id and key, and keep their names") {
    World world;
    world.cluster.restore(stored("a", "pi"));
    CHECK(world.cluster.find("pi") == world.cluster.find("a"));
    CHECK(world.join(1, hello_of("pi", "board 9")) == "id1 pi-2 +key");
    CHECK(world.rejoin("a", 2, hello_of("pi", "board of pi")) == "a pi");
}

TEST_CASE("an abandoned join is still known after a master start") {
    World world;
    auto record = stored("a", "pi");
    record.confirmed = false;
    world.cluster.restore(record);
    CHECK(world.join(1, hello_of("pi", "board of pi")) == "a pi +key");
    CHECK(world.saved().offered_keys == Lines{"key of pi"});
    // The key of before the start counts, too.
    world.disconnected(1);
    CHECK(world.rejoin("a", 2, hello_of("pi", "board of pi"), "b:2", "key of pi") == "a pi");
    CHECK(world.effects().front() == "forget key key1");
}

TEST_CASE("a node is removed by name and by id") {
    auto world = with_one_node();
    world.join(2, hello_of("po", "board 2"));
    CHECK_FALSE(world.remove("nobody"));
    CHECK(world.effects().empty());
    CHECK_FALSE(world.remove(""));
    CHECK(world.remove("pi"));
    CHECK(world.effects() == Lines{"forget id1 key1", "close 1 removed: this node was removed",
                                   "info: node pi was removed"});
    CHECK(world.cluster.find("pi") == nullptr);
    CHECK(world.cluster.find("id1") == nullptr);
    CHECK(world.cluster.find_session(1) == nullptr);
    for (int i = 0; i < 2; ++i) {  // the session ends later
        world.heard(1);
        CHECK(world.effects().empty());
        world.disconnected(1);
        CHECK(world.effects().empty());
    }
    world.disconnected(2);
    CHECK(world.remove("id2"));
    CHECK(world.effects() == Lines{"forget id2 key2", "info: node po was removed"});
    CHECK_FALSE(world.remove("id2"));
    CHECK(world.cluster.nodes().empty());
}

TEST_CASE("with a node all keys that it was given are gone") {
    World world;
    for (SessionId session = 1; session <= 3; ++session) {
        world.join(session, hello_of("pi", "board"));
        world.disconnected(session);
    }
    CHECK(world.remove("pi"));
    CHECK(world.effects().front() == "forget id1 key1 key2 key3");
    CHECK(world.rejoin("id1", 4, hello_of("pi", "board"), "b:2", "key2") ==
          "removed: this node was removed");
}

TEST_CASE("a node that calls itself by the id of another does not stand in for it") {
    auto world = with_one_node();
    CHECK(world.join(2, hello_of("id1", "board 2")) == "id2 id1 +key");
    CHECK(world.node("id1").record.name == "pi");
    CHECK(world.remove("id1"));
    CHECK(world.effects().front() == "forget id1 key1");
    CHECK(world.remove("id1"));  // now it is only a name
    CHECK(world.effects().front() == "forget id2 key2");
}

TEST_CASE("nodes that went away are remembered for viewers, within bounds") {
    World world;
    CHECK(world.cluster.gone_since(0) == Lines{});
    const auto cycle = [&](int number) {
        const auto name = "n" + std::to_string(number);
        world.join(static_cast<SessionId>(number), hello_of(name, name));
        world.remove(name);
    };
    cycle(1);
    CHECK(world.cluster.gone_since(0) == Lines{"id1"});
    const auto after_first = world.cluster.version();
    CHECK(world.cluster.gone_since(after_first) == Lines{});
    cycle(2);
    CHECK(world.cluster.gone_since(after_first) == Lines{"id2"});
    CHECK(world.cluster.gone_since(after_first - 1) == Lines{"id1", "id2"});
    for (int i = 3; i <= 1024; ++i) cycle(i);
    CHECK(world.cluster.gone_since(0)->size() == 1024);
    cycle(1025);
    CHECK_FALSE(world.cluster.gone_since(0).has_value());
    CHECK_FALSE(world.cluster.gone_since(after_first - 1).has_value());
    CHECK(world.cluster.gone_since(after_first)->size() == 1024);
    CHECK(world.cluster.gone_since(world.cluster.version())->empty());
}

TEST_CASE("the version grows with every change that viewers see") {
    World world;
    std::uint64_t last = world.cluster.version();
    const auto changed = [&] {
        const bool grew = world.cluster.version() > last;
        last = world.cluster.version();
        return grew;
    };
    world.join(1, hello_of("pi", "board 1"));
    CHECK(changed());
    world.vitals(1, {});
    CHECK(changed());
    world.key_stored(1);
    CHECK_FALSE(changed());
    world.heard(1);
    CHECK_FALSE(changed());
    world.tick();
    CHECK_FALSE(changed());
    world.now += 15s;
    world.tick();
    CHECK(changed());
    world.tick();
    CHECK_FALSE(changed());
    world.heard(1);
    CHECK(changed());
    world.disconnected(1);
    CHECK(changed());
    world.rejoin("id1", 2, hello_of("pi", "board 1"), "c:9");
    CHECK(changed());
    world.rejoin("id1", 3, hello_of("pi", "board 1"), "d:9");
    CHECK(changed());
    CHECK(world.node("pi").changed == world.cluster.version());
    world.remove("pi");
    CHECK(changed());
    world.cluster.restore(stored("a", "po"));
    CHECK(changed());
}

TEST_CASE("vitals that cannot be are not believed") {
    auto world = with_one_node();
    const auto told = [&](auto set) {
        Vitals vitals;
        set(vitals);
        world.vitals(1, vitals);
        return world.node("pi").vitals;
    };
    constexpr double infinite = std::numeric_limits<double>::infinity();
    const auto percent = [&](double value) {
        return told([=](Vitals& vitals) { vitals.cpu_percent = value; }).cpu_percent;
    };
    CHECK(percent(50) == 50.0);
    CHECK(percent(-1) == 0.0);
    CHECK(percent(1e300) == 100.0);
    CHECK(percent(infinite) == 100.0);
    CHECK_FALSE(percent(std::numeric_limits<double>::quiet_NaN()).has_value());
    const auto heat = [&](double value) {
        return told([=](Vitals& vitals) { vitals.temperature_c = value; }).temperature_c;
    };
    CHECK(heat(-20) == -20.0);
    for (const double value : {-273.0, -60.0, 200.0, 85000.0, infinite, -infinite})
        CHECK_FALSE(heat(value).has_value());
    for (const double value : {-0.1, 1e6, infinite})
        CHECK_FALSE(told([=](Vitals& vitals) { vitals.load_1m = value; }).load_1m.has_value());
    CHECK_FALSE(told([](Vitals& vitals) { vitals.ram_available_bytes = -1; }).ram_available_bytes);
    CHECK(told([](Vitals& vitals) { vitals.throttled = true; }).throttled == true);
    CHECK_FALSE(told([](Vitals& vitals) { vitals.disk_free_bytes = -5; }).disk_free_bytes);
    CHECK_FALSE(told([](Vitals& vitals) { vitals.pressure_io = 100.5; }).pressure_io.has_value());
    CHECK(told([](Vitals& vitals) { vitals.pressure_io = 99.5; }).pressure_io == 99.5);
    CHECK(told([](Vitals& vitals) { vitals.network = std::string(1000, 'x'); }).network.size() <=
          limits::text_chars + 3);
}
