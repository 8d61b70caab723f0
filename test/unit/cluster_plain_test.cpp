#include <catch2/catch.hpp>
#include <string>

#include "test/unit/cluster_world.hpp"

using namespace rpic;
using namespace rpic::test;

namespace {

/// A plain peer that told its host name.
std::string plain_node(World& world, SessionId session, const std::string& host,
                       const std::string& address) {
    world.plain(session, address);
    world.plain_details(session, host);
    const auto* node = world.cluster.find_session(session);
    REQUIRE(node != nullptr);
    return node->record.name;
}

}  // namespace

TEST_CASE("a plain peer is a node at once and announced by the name that it tells") {
    World world;
    CHECK(world.plain(1, "10.0.0.1:4000") == "plain1... plain-plain1..");
    CHECK(world.effects().empty());
    CHECK(world.state("plain1...") == "online");
    CHECK(world.node("plain1...").plain);
    world.plain_details(1, "pi", 12.5);
    CHECK(world.effects() == Lines{"info: plain node pi joined from 10.0.0.1:4000"});
    CHECK(world.cluster.find("plain-plain1..") == nullptr);
    const auto& node = world.node("pi");
    CHECK(node.record.id == "plain1...");
    CHECK(node.record.machine.hostname == "pi");
    CHECK(node.vitals.cpu_percent == 12.5);
    const auto view = view_of(node, world.now);
    CHECK(view.plain);
    CHECK(view.role == "basic");
    CHECK(view.cpus == 0);  // it never gets work
    // Details come again and again; the name stays.
    world.plain_details(1, "po", 3);
    CHECK(world.effects().empty());
    CHECK(world.node("pi").record.machine.hostname == "po");
    CHECK(world.node("pi").vitals.cpu_percent == 3.0);
    world.key_stored(1);
    for (const auto& line : world.effects()) CHECK(line.find("save") == std::string::npos);
}

TEST_CASE("a plain node is never saved") {
    World world;
    plain_node(world, 1, "pi", "a:1");
    world.key_stored(1);
    CHECK(world.effects().empty());
}

TEST_CASE("plain nodes share the names of all nodes") {
    World world;
    world.join(1, hello_of("pi", "board 1"));
    CHECK(plain_node(world, 2, "pi", "b:1") == "pi-2");
    CHECK(plain_node(world, 3, "pi", "b:2") == "pi-3");  // the other is still connected
    CHECK(plain_node(world, 4, "", "c:1") == "plain-plain4..");
    CHECK(plain_node(world, 5, "\x1B", "c:1") == "plain-plain5..");
    world.plain_details(4, "late");
    CHECK(world.effects() == Lines{"info: plain node late joined from c:1"});
}

TEST_CASE("plain nodes that never told a name come and go without a word") {
    World world;
    world.plain(1, "a:1");
    world.plain(2, "a:2");
    world.disconnected(1);
    CHECK(world.effects().empty());
    CHECK(world.state("plain1...") == "suspect");
    world.now += 20s;
    world.tick();
    CHECK(world.effects() == Lines{"close 2 silent: silent for 20s"});
    CHECK(world.state("plain1...") == "lost");
}

TEST_CASE("plain nodes are suspect and lost like others") {
    World world;
    plain_node(world, 1, "pi", "a:1");
    world.now += 15s;
    world.tick();
    CHECK(world.effects() == Lines{"warn: node pi is suspect: silent for 15s"});
    world.heard(1);
    CHECK(world.effects() == Lines{"info: node pi is online: it speaks again"});
    world.disconnected(1, "the peer closed the connection");
    CHECK(world.effects() == Lines{"warn: node pi is suspect: the peer closed the connection"});
    world.now += 20s;
    world.tick();
    CHECK(world.effects() == Lines{"warn: node pi is lost: silent for 20s"});
}

TEST_CASE("a plain slave that comes back takes the place of its earlier connection") {
    World world;
    plain_node(world, 1, "pi", "10.0.0.1:4000");
    world.disconnected(1);
    const auto before = world.cluster.version();
    CHECK(plain_node(world, 2, "pi", "10.0.0.1:4001") == "pi");
    CHECK(world.effects() == Lines{"info: plain node pi joined from 10.0.0.1:4001"});
    CHECK(world.cluster.nodes().size() == 1);
    CHECK(world.cluster.gone_since(before) == Lines{"plain1..."});
}

TEST_CASE("only a disconnected plain node of the same host and address is replaced") {
    World world;
    plain_node(world, 1, "pi", "10.0.0.1:4000");
    SECTION("still connected") {
        CHECK(plain_node(world, 2, "pi", "10.0.0.1:4001") == "pi-2");
    }
    SECTION("another address") {
        world.disconnected(1);
        CHECK(plain_node(world, 2, "pi", "10.0.0.2:4000") == "pi-2");
    }
    SECTION("another host name") {
        world.disconnected(1);
        CHECK(plain_node(world, 2, "po", "10.0.0.1:4001") == "po");
        CHECK(world.cluster.nodes().size() == 2);
    }
    SECTION("an encrypted node of that name") {
        world.join(3, hello_of("pu", "board 3"), "10.0.0.1:5000");
        world.disconnected(3);
        CHECK(plain_node(world, 4, "pu", "10.0.0.1:4001") == "pu-2");
    }
}

TEST_CASE("a plain node that is gone is shown for ten minutes") {
    World world;
    plain_node(world, 1, "pi", "a:1");
    world.disconnected(1);
    world.now += limits::plain_node_kept - 1ns;
    world.tick();
    CHECK(world.state("pi") == "lost");
    const auto before = world.cluster.version();
    world.now += 1ns;
    world.tick();
    CHECK(world.effects().empty());
    CHECK(world.cluster.find("pi") == nullptr);
    CHECK(world.cluster.gone_since(before) == Lines{"plain1..."});
}

TEST_CASE("a plain node that stays connected is never forgotten") {
    World world;
    plain_node(world, 1, "pi", "a:1");
    for (int i = 0; i < 200; ++i) {
        world.now += 5s;
        world.heard(1);
        world.tick();
        REQUIRE(world.effects().empty());
    }
    CHECK(world.state("pi") == "online");
}

TEST_CASE("a storm of plain peers leaves a bounded number of nodes") {
    World world;
    plain_node(world, 1, "first", "a:1");
    for (SessionId session = 2; session < 2000; ++session) {
        world.plain(session, "b:" + std::to_string(session));
        world.disconnected(session);
        REQUIRE(world.effects().empty());
        REQUIRE(world.cluster.nodes().size() <= limits::plain_nodes_kept + 1);
    }
    CHECK(world.cluster.nodes().size() == limits::plain_nodes_kept + 1);
    CHECK(world.state("first") == "online");
    // The oldest make room.
    CHECK(world.cluster.find("plain1999...") != nullptr);
    CHECK(world.cluster.find("plain2...") == nullptr);
}

TEST_CASE("a plain slave that comes back often does not push out others") {
    World world;
    plain_node(world, 1, "other", "a:1");
    world.disconnected(1);
    for (SessionId session = 2; session < 1000; ++session) {
        REQUIRE(plain_node(world, session, "pi", "b:" + std::to_string(session)) == "pi");
        world.disconnected(session);
        REQUIRE(world.cluster.nodes().size() == 2);
    }
    CHECK(world.cluster.find("other") != nullptr);
}

TEST_CASE("a plain node is removed without a trace, connected or not") {
    World world;
    plain_node(world, 1, "pi", "a:1");
    plain_node(world, 2, "po", "b:1");
    world.disconnected(2);
    CHECK(world.remove("pi"));
    CHECK(world.effects() == Lines{"forget plain1... ", "close 1 removed: this node was removed",
                                   "info: node pi was removed"});
    CHECK(world.remove("po"));
    world.disconnected(1);
    CHECK(world.effects().empty());
    world.now += 1h;
    world.tick();
    CHECK(world.effects().empty());
    CHECK(world.cluster.nodes().empty());
}

TEST_CASE("hostile details of a plain peer are bounded") {
    World world;
    world.plain(1, "a:1");
    Effects effects;
    MachineFacts machine;
    machine.hostname = "pi\x1B" + std::string(100'000, 'x');
    machine.cpu = std::string(100'000, '\xFF');
    machine.cpu_cores = std::numeric_limits<std::int64_t>::max();
    machine.ram_bytes = -5;
    world.cluster.on_plain_details(world.now, 1, machine, 1e308, effects);
    const auto* node = world.cluster.find_session(1);
    REQUIRE(node != nullptr);
    CHECK(node->record.name == "pi" + std::string(limits::name_chars - 2, 'x'));
    CHECK(node->record.machine.hostname.size() <= limits::text_chars + 3);
    CHECK(node->record.machine.cpu == std::string(limits::text_chars, '?') + "...");
    CHECK(node->record.machine.cpu_cores == 65'536);
    CHECK(node->record.machine.ram_bytes == 0);
    CHECK(node->vitals.cpu_percent == 100.0);
}
