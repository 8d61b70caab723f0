#include <catch2/catch.hpp>
#include <string>

#include "common/text.hpp"
#include "test/unit/cluster_world.hpp"

using namespace rpic;
using namespace rpic::test;

TEST_CASE("a node joins and stores its key") {
    World world;
    auto hello = hello_of("pi", "board 1");
    hello.memory_bytes = 1000;
    CHECK(world.join(1, hello, "10.0.0.1:4000") == "id1 pi +key");
    CHECK(world.effects() == Lines{"info: node pi is online: connected from 10.0.0.1:4000",
                                   "save id1 pi unconfirmed"});
    const auto record = world.saved();
    CHECK(record.key_identity == "key1");
    CHECK(record.wished_name == "pi");
    CHECK(record.role == "worker");
    CHECK(record.fingerprint == "board 1");
    CHECK(record.version == "1.0.0");
    CHECK(record.machine == hello.machine);
    CHECK(record.cpus == 4);
    CHECK(record.memory_bytes == 1000);
    CHECK(record.labels == hello.labels);
    const auto& node = world.node("pi");
    CHECK(node.record == record);
    CHECK(&node == world.cluster.find_session(1));
    CHECK(node.boot_id == "boot of board 1");
    CHECK(node.last_heard == world.now);
    CHECK_FALSE(node.plain);
    world.key_stored(1);
    CHECK(world.effects() == Lines{"save id1 pi"});
    world.key_stored(1);
    CHECK(world.effects().empty());
}

TEST_CASE("messages of sessions that are no node's change nothing") {
    auto world = with_one_node();
    const auto version = world.cluster.version();
    for (const SessionId stranger : {0, 2, 99}) {
        world.key_stored(stranger);
        CHECK(world.effects().empty());
        world.heard(stranger);
        CHECK(world.effects().empty());
        world.vitals(stranger, {});
        world.disconnected(stranger);
        CHECK(world.effects().empty());
        world.plain_details(stranger, "pi");
        CHECK(world.effects().empty());
        CHECK(world.cluster.find_session(stranger) == nullptr);
    }
    world.plain_details(1, "other");  // for plain peers alone
    CHECK(world.effects().empty());
    CHECK(world.node("pi").record.machine.hostname == "pi");
    CHECK(world.cluster.version() == version);
}

TEST_CASE("a role that is unknown is refused") {
    World world;
    for (const auto* role : {"", "master", "Worker", "worker\x1B"}) {
        auto hello = hello_of("pi", "board 1");
        hello.role = role;
        CHECK(world.join(1, hello) == "role: unknown role \"" + printable(role, 100) + "\"");
        CHECK(world.effects().empty());
    }
    CHECK(world.cluster.nodes().empty());
    CHECK(world.cluster.version() == 0);
}

TEST_CASE("nodes that wish for the same name are numbered") {
    World world;
    CHECK(world.join(1, hello_of("pi", "board 1")) == "id1 pi +key");
    CHECK(world.join(2, hello_of("pi", "board 2")) == "id2 pi-2 +key");
    CHECK(world.effects() ==
          Lines{"info: node pi-2 is online: connected from a:1", "save id2 pi-2 unconfirmed"});
    CHECK(world.saved().wished_name == "pi");
    CHECK(world.join(3, hello_of("pi", "board 3")) == "id3 pi-3 +key");
    // A name that somebody really wished for is as good as a numbered one.
    CHECK(world.join(4, hello_of("pi-4", "board 4")) == "id4 pi-4 +key");
    CHECK(world.join(5, hello_of("pi", "board 5")) == "id5 pi-5 +key");
    // A number that became free is given again.
    CHECK(world.remove("pi-2"));
    CHECK(world.join(6, hello_of("pi", "board 6")) == "id6 pi-2 +key");
}

TEST_CASE("a node without a usable name is a node") {
    World world;
    CHECK(world.join(1, hello_of("", "board 1")) == "id1 node +key");
    CHECK(world.join(2, hello_of("-\x1B\xFF", "board 2")) == "id2 node-2 +key");
    CHECK(world.join(3, hello_of("../pi 4", "board 3")) == "id3 pi4 +key");
}

TEST_CASE("a numbered name is no longer than other names") {
    World world;
    const std::string longest(limits::name_chars, 'x');
    CHECK(world.join(1, hello_of(longest + "yz", "board 1")) == "id1 " + longest + " +key");
    const auto cut = longest.substr(0, limits::name_chars - 2);
    CHECK(world.join(2, hello_of(longest, "board 2")) == "id2 " + cut + "-2 +key");
    CHECK(world.join(3, hello_of(longest, "board 3")) == "id3 " + cut + "-3 +key");
}

TEST_CASE("a node comes back with its own key as the same node") {
    auto world = with_one_node();
    world.disconnected(1);
    world.now += 3s;
    CHECK(world.rejoin("id1", 2, hello_of("pi", "board 1"), "b:2") == "id1 pi");
    CHECK(world.effects() == Lines{"info: node pi is online: connected from b:2"});
    CHECK(world.node("pi").address == "b:2");
    CHECK(world.cluster.find_session(1) == nullptr);
    CHECK(world.cluster.find_session(2) == &world.node("pi"));
    CHECK(world.cluster.nodes().size() == 1);
}

TEST_CASE("a node that comes back with its own key has it on disk") {
    World world;
    world.join(1, hello_of("pi", "board 1"));
    world.disconnected(1);  // before it could say so
    CHECK(world.rejoin("id1", 2, hello_of("pi", "board 1")) == "id1 pi");
    CHECK(world.effects() == Lines{"info: node pi is online: connected from a:1", "save id1 pi"});
}

TEST_CASE("what a node tells anew is saved, and only what is new") {
    auto world = with_one_node();
    SessionId session = 1;
    const auto come_back = [&](const Hello& hello) {
        world.disconnected(session);
        world.rejoin("id1", ++session, hello);
        return world.effects();
    };
    const Lines unchanged = {"info: node pi is online: connected from a:1"};
    const Lines changed = {"info: node pi is online: connected from a:1", "save id1 pi"};
    auto hello = hello_of("pi", "board 1");
    CHECK(come_back(hello) == unchanged);
    hello.version = "1.1.0";
    CHECK(come_back(hello) == changed);
    CHECK(world.saved().version == "1.1.0");
    hello.machine.ram_bytes = 7;
    CHECK(come_back(hello) == changed);
    hello.labels["camera"] = "yes";
    CHECK(come_back(hello) == changed);
    hello.cpus = 2;
    CHECK(come_back(hello) == changed);
    hello.role = "basic";
    CHECK(come_back(hello) == changed);
    CHECK(world.saved().role == "basic");
    hello.boot_id = "another boot";
    CHECK(come_back(hello) == unchanged);
    CHECK(world.node("pi").boot_id == "another boot");
}

TEST_CASE("a new link of the same board replaces the old one") {
    auto world = with_one_node();
    world.now += 1s;
    CHECK(world.rejoin("id1", 2, hello_of("pi", "board 1"), "b:2") == "id1 pi");
    CHECK(world.effects() == Lines{"close 1 replaced: this node connected again from b:2"});
    CHECK(world.cluster.find_session(1) == nullptr);
    // The end of the old link is not the node's.
    world.disconnected(1);
    CHECK(world.effects().empty());
    world.heard(1);
    CHECK(world.effects().empty());
    CHECK(world.state("pi") == "online");
    CHECK(world.node("pi").session == 2);
}

TEST_CASE("the key of a removed node is refused") {
    auto world = with_one_node();
    CHECK(world.remove("pi"));
    CHECK(world.rejoin("id1", 2, hello_of("pi", "board 1")) == "removed: this node was removed");
    CHECK(world.effects().empty());
    CHECK(world.rejoin("never known", 3, hello_of("pi", "board 1")) ==
          "removed: this node was removed");
    CHECK(world.cluster.nodes().empty());
}

TEST_CASE("another board with the key of a node that speaks is a copied card") {
    auto world = with_one_node();
    world.now += limits::lost_after - 1ns;
    CHECK(world.rejoin("id1", 2, hello_of("pi", "board 2"), "b:2") == "id2 pi-2 +key");
    CHECK(world.effects() ==
          Lines{"warn: a second machine uses the key of node pi (a copied card?): it joins as a "
                "new node",
                "info: node pi-2 is online: connected from b:2", "save id2 pi-2 unconfirmed"});
    CHECK(world.saved().key_identity == "key2");
    // The first one has lost nothing.
    CHECK(world.node("pi").session == 1);
    CHECK(world.node("pi").record.fingerprint == "board 1");
    CHECK(world.state("pi") == "online");
}

TEST_CASE("another board with the key of a node that is silent is a moved card") {
    auto world = with_one_node();
    world.now += limits::lost_after;
    CHECK(world.rejoin("id1", 2, hello_of("pi", "board 2"), "b:2") == "id1 pi");
    CHECK(world.effects() ==
          Lines{"close 1 replaced: this node connected again from b:2", "save id1 pi"});
    CHECK(world.saved().fingerprint == "board 2");
    CHECK(world.cluster.nodes().size() == 1);
}

TEST_CASE("another board with the key of a node without connection is a moved card") {
    auto world = with_one_node();
    world.disconnected(1);
    CHECK(world.rejoin("id1", 2, hello_of("pi", "board 2")) == "id1 pi");
    CHECK(world.effects() == Lines{"info: node pi is online: connected from a:1", "save id1 pi"});
}

TEST_CASE("a board whose key never reached it gets another when it joins again") {
    World world;
    world.join(1, hello_of("pi", "board 1"));
    world.disconnected(1);
    CHECK(world.join(2, hello_of("pi", "board 1")) == "id1 pi +key");
    CHECK(world.effects() ==
          Lines{"info: node pi is online: connected from a:1", "save id1 pi unconfirmed"});
    CHECK(world.saved().key_identity == "key2");
    CHECK(world.cluster.nodes().size() == 1);
    // That it has stored this one makes the first nobody's.
    world.key_stored(2);
    CHECK(world.effects() == Lines{"forget key key1", "save id1 pi"});
    CHECK(world.saved().offered_keys.empty());
}

TEST_CASE("a greeting that comes late does not cost a node the key that it has stored") {
    World world;
    auto hello = hello_of("pi", "board 1");
    // The node gave up its first connection. Over the second one it got key1, and stored it; that
    // it did so was lost.
    REQUIRE(world.join(2, hello) == "id1 pi +key");
    world.disconnected(2);
    // Now the greeting of the first one arrives, of which the node will never see the answer.
    REQUIRE(world.join(1, hello) == "id1 pi +key");
    CHECK(world.saved().key_identity == "key2");
    CHECK(world.saved().offered_keys == Lines{"key1"});
    CHECK(world.rejoin("id1", 3, hello, "b:2", "key1") == "id1 pi");
    CHECK(world.effects() == Lines{"forget key key2",
                                   "close 1 replaced: this node connected again from b:2",
                                   "save id1 pi"});
    CHECK(world.saved().key_identity == "key1");
    CHECK(world.saved().offered_keys.empty());
    CHECK(world.saved().confirmed);
    // Whoever still comes with the other one, as in a handshake that took long, is refused.
    CHECK(world.rejoin("id1", 4, hello, "b:2", "key2") ==
          "removed: this node has another key by now");
    CHECK(world.effects().empty());
    CHECK(world.node("pi").session == 3);
}

TEST_CASE("a node that confirms says which of its keys it has stored") {
    World world;
    auto hello = hello_of("pi", "board 1");
    hello.boot_id = "first";
    REQUIRE(world.join(1, hello) == "id1 pi +key");
    hello.boot_id = "second";
    REQUIRE(world.join(2, hello) == "id1 pi +key");
    world.key_stored(1);  // of a connection that was replaced: its node will come with that key
    CHECK(world.effects().empty());
    world.key_stored(2);
    CHECK(world.effects() == Lines{"forget key key1", "save id1 pi"});
    CHECK(world.saved().key_identity == "key2");
}

TEST_CASE("keys that a node never confirms are kept within bounds") {
    World world;
    const auto hello = hello_of("pi", "board 1");
    SessionId session = 0;
    for (std::size_t i = 0; i < limits::offered_keys; ++i) {
        REQUIRE(world.join(++session, hello) == "id1 pi +key");
        for (const auto& line : world.effects()) CHECK(line.find("forget") == std::string::npos);
        world.disconnected(session);
    }
    REQUIRE(world.join(++session, hello) == "id1 pi +key");
    CHECK(world.effects().front() == "forget key key1");
    CHECK(world.saved().offered_keys.size() == limits::offered_keys - 1);
    CHECK(world.saved().offered_keys.front() == "key2");
    world.disconnected(session);
    CHECK(world.rejoin("id1", ++session, hello, "b:2", "key1") ==
          "removed: this node has another key by now");
    CHECK(world.rejoin("id1", ++session, hello, "b:2", "key2") == "id1 pi");
    CHECK(world.saved().offered_keys.empty());
}

TEST_CASE("only an abandoned join of the same board and wish is taken up again") {
    SECTION("another board") {
        World world;
        world.join(1, hello_of("pi", "board 1"));
        world.disconnected(1);
        CHECK(world.join(2, hello_of("pi", "board 2")) == "id2 pi-2 +key");
    }
    SECTION("another name") {
        World world;
        world.join(1, hello_of("pi", "board 1"));
        world.disconnected(1);
        CHECK(world.join(2, hello_of("po", "board 1")) == "id2 po +key");
        CHECK(world.cluster.nodes().size() == 2);
    }
    SECTION("another role") {
        World world;
        world.join(1, hello_of("pi", "board 1"));
        world.disconnected(1);
        auto hello = hello_of("pi", "board 1");
        hello.role = "webserver";
        CHECK(world.join(2, hello) == "id2 pi-2 +key");
    }
    SECTION("still connected") {
        World world;
        world.join(1, hello_of("pi", "board 1"));
        CHECK(world.join(2, hello_of("pi", "board 1")) == "id2 pi-2 +key");
    }
    SECTION("a numbered one is found by its wish") {
        auto world = with_one_node();
        world.join(2, hello_of("pi", "board 2"));
        world.disconnected(2);
        CHECK(world.join(3, hello_of("pi", "board 2")) == "id2 pi-2 +key");
        CHECK(world.saved().offered_keys == Lines{"key2"});
    }
}

TEST_CASE("a board whose card was written anew is the node that it was") {
    auto world = with_one_node();
    world.cluster.set_draining("id1", true, world.scratch);
    world.disconnected(1);
    world.now += limits::lost_after;
    world.tick();
    REQUIRE(world.state("pi") == "lost");
    CHECK(world.join(2, hello_of("pi", "board 1"), "b:2") == "id1 pi +key");
    CHECK(world.effects() ==
          Lines{"warn: node pi joins anew from the same board (a card that was written anew?): its "
                "earlier key is worthless now",
                "info: node pi is online: connected from b:2", "save id1 pi unconfirmed"});
    CHECK(world.happened() == Lines{"node_reimaged pi", "node_online pi"});
    CHECK(world.saved().key_identity == "key2");
    CHECK(world.saved().draining);
    CHECK(world.cluster.nodes().size() == 1);
    // Until it has the new key, it may as well be a late greeting of a node that still has the old.
    CHECK(world.saved().offered_keys == Lines{"key1"});
    world.key_stored(2);
    CHECK(world.node("pi").record.confirmed);
    CHECK(world.effects() == Lines{"forget key key1", "save id1 pi"});
}

TEST_CASE("a board that joins anew before its old link is known to be dead") {
    auto world = with_one_node();
    auto hello = hello_of("pi", "board 1");
    SECTION("after a boot: what is left of the link is of the boot before") {
        hello.boot_id = "another boot";
        CHECK(world.join(2, hello) == "id1 pi +key");
        CHECK(world.node("pi").session == 2);
    }
    SECTION("in the same boot: it may be another container of this board") {
        CHECK(world.join(2, hello) == "id2 pi-2 +key");
        CHECK(world.node("pi").session == 1);
    }
}

TEST_CASE("a board without anything that tells it from others is a new node each time it joins") {
    World world;
    world.join(1, hello_of("pi", ""));
    world.key_stored(1);
    world.disconnected(1);
    CHECK(world.join(2, hello_of("pi", "")) == "id2 pi-2 +key");
}

TEST_CASE("a plain peer's name is nobody's earlier self") {
    World world;
    world.plain(1, "10.0.0.9:1");
    world.plain_details(1, "pi");
    world.disconnected(1);
    auto hello = hello_of("pi", "");
    hello.role = "basic";
    CHECK(world.join(2, hello) == "id2 pi-2 +key");
}

TEST_CASE("two containers of one board are two nodes, also under one name") {
    World world;
    CHECK(world.join(1, hello_of("box", "board 1")) == "id1 box +key");
    world.key_stored(1);
    CHECK(world.join(2, hello_of("box", "board 1")) == "id2 box-2 +key");
    world.key_stored(2);
    // Each comes back as itself, whoever is there at that moment.
    world.disconnected(1);
    world.disconnected(2);
    CHECK(world.rejoin("id2", 3, hello_of("box", "board 1")) == "id2 box-2");
    CHECK(world.rejoin("id1", 4, hello_of("box", "board 1")) == "id1 box");
    // With names of their own they stay apart even when both forget their keys.
    CHECK(world.join(5, hello_of("crate", "board 1")) == "id5 crate +key");
    world.disconnected(4);
    world.disconnected(5);
    CHECK(world.join(6, hello_of("crate", "board 1")) == "id5 crate +key");
    CHECK(world.join(7, hello_of("box", "board 1")) == "id1 box +key");
}

TEST_CASE("a node at another address is the same node") {
    auto world = with_one_node();
    CHECK(world.rejoin("id1", 2, hello_of("pi", "board 1"), "10.0.0.77:5") == "id1 pi");
    CHECK(world.node("pi").address == "10.0.0.77:5");
    CHECK(world.effects() == Lines{"close 1 replaced: this node connected again from 10.0.0.77:5"});
    CHECK(world.cluster.nodes().size() == 1);
}

TEST_CASE("a copied card is told to people, with the name of the original") {
    auto world = with_one_node();
    world.rejoin("id1", 2, hello_of("pi", "board 2"));
    CHECK(world.happened() == Lines{"node_clone pi", "node_online pi-2"});
    // Both live on, each with a key of its own.
    world.key_stored(2);
    CHECK(world.rejoin("id2", 3, hello_of("pi", "board 2")) == "id2 pi-2");
    CHECK(world.rejoin("id1", 4, hello_of("pi", "board 1")) == "id1 pi");
}

TEST_CASE("a copied card that cannot be written makes one node, however often it comes") {
    auto world = with_one_node();
    for (SessionId session = 2; session < 102; ++session) {
        CHECK(world.rejoin("id1", session, hello_of("pi", "board 2")).ends_with(" pi-2 +key"));
        world.disconnected(session);
    }
    CHECK(world.cluster.nodes().size() == 2);
}

TEST_CASE("the key of one node makes no crowd of nodes") {
    auto world = with_one_node();
    SessionId session = 1;
    for (std::int64_t copy = 0; copy < limits::copies_of_node; ++copy) {
        ++session;
        world.rejoin("id1", session, hello_of("pi", "board " + std::to_string(session)));
    }
    CHECK(world.cluster.nodes().size() == 1 + static_cast<std::size_t>(limits::copies_of_node));
    CHECK(world.rejoin("id1", ++session, hello_of("pi", "another board")) ==
          "full: 16 machines use the key of node pi already: start this one with --rejoin");
    CHECK(world.effects().empty());
    CHECK(world.rejoin("id1", ++session, hello_of("pi", "board 1")) == "id1 pi");
}

TEST_CASE("labels that are too long to be shown are refused") {
    auto world = with_one_node();
    Effects effects;
    CHECK_FALSE(world.cluster.set_labels("id1", {{"a", std::string(300, 'x')}}, effects));
    CHECK_FALSE(world.cluster.set_labels("id1", {{"a", "\x1b[2J"}}, effects));
    CHECK(effects.empty());
    CHECK(world.cluster.set_labels("id1", {{"a", std::string(256, 'x')}}, effects));
}

TEST_CASE("a node that wishes for another name gets it") {
    auto world = with_one_node();
    CHECK(world.rejoin("id1", 2, hello_of("attic", "board 1")) == "id1 attic");
    CHECK(world.effects() ==
          Lines{"close 1 replaced: this node connected again from a:1", "save id1 attic"});
    CHECK(world.cluster.find("pi") == nullptr);
    CHECK(world.join(3, hello_of("pi", "board 3")) == "id3 pi +key");
    // A wish for a name that is taken.
    CHECK(world.rejoin("id1", 4, hello_of("pi", "board 1")) == "id1 pi-2");
    CHECK(world.cluster.find("attic") == nullptr);
    // The same wish again keeps the number, even when the name has become free.
    world.remove("pi");
    CHECK(world.rejoin("id1", 5, hello_of("pi", "board 1")) == "id1 pi-2");
    CHECK(world.effects() == Lines{"close 4 replaced: this node connected again from a:1"});
}

TEST_CASE("a full cluster refuses new nodes and serves the known ones") {
    World world;
    for (std::size_t i = 0; i < limits::nodes; ++i) {
        NodeRecord record;
        record.id = "old" + std::to_string(i);
        record.name = record.wished_name = "n" + std::to_string(i);
        record.fingerprint = "board " + std::to_string(i);
        record.role = "worker";
        record.confirmed = i > 0;
        world.cluster.restore(record);
    }
    CHECK(world.join(1, hello_of("pi", "board")) ==
          "full: the cluster is full: it has 20000 nodes");
    CHECK(world.effects().empty());
    CHECK(world.rejoin("old7", 3, hello_of("n7", "board 7")) == "old7 n7");
    // A copied card is refused too, and nothing says that it joins.
    CHECK(world.rejoin("old7", 4, hello_of("n7", "board 8")) ==
          "full: the cluster is full: it has 20000 nodes");
    CHECK(world.effects().empty());
    CHECK(world.node("n7").session == 3);
    // An abandoned join needs no room.
    CHECK(world.join(5, hello_of("n0", "board 0")) == "old0 n0 +key");
    CHECK(world.remove("n9"));
    CHECK(world.join(6, hello_of("pi", "board")) == "id5 pi +key");
    CHECK(world.cluster.nodes().size() == limits::nodes);
}

TEST_CASE("hostile texts and numbers of a hello are bounded") {
    World world;
    auto hello = hello_of("pi", "board 1");
    const std::string flood(100'000, '\x1B');
    const auto cut = std::string(limits::text_chars, '?') + "...";
    hello.version = hello.fingerprint = hello.boot_id = flood;
    hello.machine.hostname = hello.machine.arch = hello.machine.kernel_arch = flood;
    hello.machine.cpu = hello.machine.os = hello.machine.kernel = flood;
    hello.machine.cpu_cores = std::numeric_limits<std::int64_t>::max();
    hello.machine.ram_bytes = -1;
    hello.cpus = -5;
    hello.memory_bytes = std::numeric_limits<std::int64_t>::min();
    hello.labels.clear();
    for (int i = 0; i < 1000; ++i) hello.labels["key" + std::to_string(i)] = flood;
    hello.labels[flood] = "x";
    CHECK(world.join(1, hello) == "id1 pi +key");
    const auto record = world.saved();
    CHECK(record.version == cut);
    CHECK(record.fingerprint == cut);
    CHECK(world.node("pi").boot_id == cut);
    for (const auto* text :
         {&record.machine.hostname, &record.machine.arch, &record.machine.kernel_arch,
          &record.machine.cpu, &record.machine.os, &record.machine.kernel})
        CHECK(*text == cut);
    CHECK(record.machine.cpu_cores == 65'536);
    CHECK(record.machine.ram_bytes == 0);
    CHECK(record.cpus == 0);
    CHECK(record.memory_bytes == 0);
    CHECK(!record.labels.empty());
    std::size_t label_bytes = 0;
    for (const auto& [key, value] : record.labels) label_bytes += key.size() + value.size();
    CHECK(label_bytes <= limits::labels_bytes);
    for (const auto& [key, value] : record.labels) {
        CHECK(key.size() <= cut.size());
        CHECK(value.size() <= cut.size());
    }
    // The same flood is no change, and the same board.
    CHECK(world.rejoin("id1", 2, hello) == "id1 pi");
    CHECK(world.saved().confirmed);
    CHECK(world.rejoin("id1", 3, hello) == "id1 pi");
    CHECK(world.effects() == Lines{"close 2 replaced: this node connected again from a:1"});
}

TEST_CASE("plain peers and nodes with keys do not take each other's places") {
    World world;
    for (SessionId session = 1; session <= limits::plain_nodes; ++session)
        world.plain(session, "b:" + std::to_string(session));
    const SessionId next = limits::plain_nodes + 1;
    CHECK(world.plain(next, "b:1") == "full: the cluster is full");
    CHECK(world.join(next + 1, hello_of("pi", "board")).find("pi +key") != std::string::npos);
}

TEST_CASE(
    "a board that lost its power during its first join keeps its name, however soon it returns") {
    World world;
    auto hello = hello_of("pi", "board");
    hello.boot_id = "first";
    CHECK(world.join(1, hello) == "id1 pi +key");
    world.effects();
    // The connection of the first boot still looks alive, and so it would be for a second slave on
    // the same board.
    CHECK(world.join(2, hello) == "id2 pi-2 +key");
    world.effects();
    hello.boot_id = "second";
    CHECK(world.join(3, hello) == "id1 pi +key");
    CHECK(world.node("pi").session == 3);
}
