#include <boost/asio/connect.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <catch2/catch.hpp>

#include "common/keys.hpp"
#include "common/limits.hpp"
#include "common/sleep.hpp"
#include "common/until_first_failure.hpp"
#include "common/version.hpp"
#include "test/async/test_master.hpp"

using namespace rpic;
using namespace rpic::test;
using namespace std::chrono_literals;

namespace {

/// So many nodes that telling them all takes more than a connection's outbox may hold.
constexpr std::size_t many_nodes = 2500;

void add_many_nodes(TestMaster& master) {
    const std::string text(limits::text_chars, 'c');
    for (std::size_t i = 0; i < many_nodes; ++i) {
        NodeRecord record;
        record.id = random_hex(16);
        record.name = "old-" + std::to_string(i);
        record.machine = {text, text, text, text, 4, 1 << 30, text, text, text, text};
        master.context.cluster.restore(record);
    }
    REQUIRE(many_nodes * 7 * text.size() > limits::outbox_hard_bytes);
}

/// The reason why the peer ended, after what it still said.
asio::awaitable<std::string> end_of(Connection& link) {
    std::string reason;
    try {
        for (;;) co_await link.next_frame();
    } catch (const std::exception& error) {
        reason = error.what();
    }
    co_return reason;
}

}  // namespace

TEST_CASE("a node joins, stores its key, beats and comes back as the same node") {
    TestMaster master;
    master.run([](TestMaster& m) -> asio::awaitable<void> {
        const TlsClient join(m.join_key());
        Connection link = co_await connect(m, join);
        const auto hello = node_hello("pi1");
        link.send(hello);
        const auto first = co_await receive<ToNode>(link);
        const auto welcome = std::get<Welcome>(first);
        CHECK(welcome.name == "pi1");
        CHECK(welcome.node_id.size() == 32);
        CHECK(canonical_key(welcome.node_key) == welcome.node_key);
        CHECK(welcome.node_key != m.join_key());
        link.send(KeyStored{});
        Heartbeat beat;
        beat.sequence = 9;
        beat.vitals.cpu_percent = 12.5;
        link.send(beat);
        const auto second = co_await receive<ToNode>(link);
        CHECK(std::get<HeartbeatAck>(second).sequence == 9);
        const auto* node = m.context.cluster.find("pi1");
        REQUIRE(node != nullptr);
        CHECK(node->record.confirmed);
        CHECK(node->vitals.cpu_percent == 12.5);
        link.close("cut");
        const Duration pause = 5ms;
        while (m.context.cluster.find("pi1")->state == NodeState::online) co_await sleep_for(pause);
        CHECK(node->state == NodeState::suspect);

        const TlsClient own(welcome.node_key);
        Connection again = co_await connect(m, own);
        again.send(hello);
        const auto third = co_await receive<ToNode>(again);
        CHECK(std::get<Welcome>(third).node_id == welcome.node_id);
        CHECK(std::get<Welcome>(third).node_key.empty());
        CHECK(node->state == NodeState::online);
    }(master));
}

TEST_CASE("keys work for what they are for and nothing else") {
    TestMaster master;
    master.run([](TestMaster& m) -> asio::awaitable<void> {
        const TlsClient join(m.join_key());
        const TlsClient admin(m.admin_key());
        Connection as_client = co_await connect(m, join);
        as_client.send(client_hello());
        const auto first = co_await receive<ToNode>(as_client);
        CHECK(std::get<Refused>(first).code == "role");
        Connection as_node = co_await connect(m, admin);
        const auto hello = node_hello("pi1");
        as_node.send(hello);
        const auto second = co_await receive<ToNode>(as_node);
        CHECK(std::get<Refused>(second).code == "role");
        CHECK(m.context.counters.role_refused == 2);
        Connection old = co_await connect(m, join);
        auto other_protocol = node_hello("pi1");
        other_protocol.protocol = 99;
        old.send(other_protocol);
        const auto third = co_await receive<ToNode>(old);
        CHECK(std::get<Refused>(third).code == "protocol");
        CHECK(m.context.cluster.nodes().empty());
    }(master));
}

TEST_CASE("a removed node is told so at once and cannot come back with its key") {
    TestMaster master;
    master.run([](TestMaster& m) -> asio::awaitable<void> {
        const TlsClient join(m.join_key());
        Connection node = co_await connect(m, join);
        const auto hello = node_hello("pi1");
        node.send(hello);
        const auto first = co_await receive<ToNode>(node);
        const auto key = std::get<Welcome>(first).node_key;

        const TlsClient admin(m.admin_key());
        Connection client = co_await connect(m, admin);
        client.send(client_hello());
        co_await receive<ToClient>(client);
        RemoveNode unknown;
        unknown.id = 1;
        unknown.node = "nobody";
        client.send(unknown);
        const auto failed = co_await receive<ToClient>(client);
        CHECK(std::get<Failed>(failed).code == "not_found");
        RemoveNode remove;
        remove.id = 2;
        remove.node = "pi1";
        client.send(remove);
        const auto done = co_await receive<ToClient>(client);
        CHECK(std::get<Done>(done).id == 2);
        const auto told = co_await receive<ToNode>(node);
        CHECK(std::get<Refused>(told).code == "removed");
        const auto reason = co_await end_of(node);
        CHECK(reason == "closed by the peer");

        const TlsClient own(key);
        bool refused = false;
        try {
            Connection again = co_await connect(m, own);
        } catch (const KeyRefusedError&) {
            refused = true;
        }
        CHECK(refused);
    }(master));
}

TEST_CASE("what a node says is checked: unknown types, wrong shapes, things it may not ask") {
    TestMaster master;
    master.run([](TestMaster& m) -> asio::awaitable<void> {
        const TlsClient join(m.join_key());
        Connection node = co_await connect(m, join);
        const auto hello = node_hello("pi1");
        node.send(hello);
        co_await receive<ToNode>(node);
        const std::vector<std::string> frames = {
            "{\"type\":\"submit\",\"payload\":{}}\r",
            "{\"type\":\"heartbeat\",\"payload\":[1]}\r",
            "{\"type\":\"heartbeat\",\"payload\":{\"sequence\":\"x\"}}\r",
            "{\"type\":7}\r",
            "[]\r",
            "{\"type\":\"watch\",\"payload\":{}}\r",
            "{\"type\":\"check_token\",\"payload\":{\"id\":1,\"token\":\"x\"}}\r",
        };
        for (const auto& frame : frames) {
            node.send_bytes(frame);
            const auto answer = co_await receive<ToNode>(node);
            CHECK(std::holds_alternative<BadMessage>(answer));
        }
        CHECK(m.context.counters.bad_messages == static_cast<std::int64_t>(frames.size()));
        node.send_bytes("{]\r");
        const auto reason = co_await end_of(node);
        CHECK(reason == "closed by the peer");
        CHECK(m.context.counters.broken_frames == 1);
    }(master));
}

TEST_CASE("a watcher sees the whole picture in pages, then changes, then who is gone") {
    TestMaster master;
    master.run([](TestMaster& m) -> asio::awaitable<void> {
        add_many_nodes(m);
        const TlsClient join(m.join_key());
        Connection web = co_await connect(m, join);
        auto hello = node_hello("web");
        hello.role = "webserver";
        web.send(hello);
        co_await receive<ToNode>(web);
        web.send(Watch{});
        auto feeder = [&]() -> asio::awaitable<void> {
            const Duration pause = 5ms;
            for (;;) {
                feed_watchers(m.context, Clock::now());
                co_await sleep_for(pause);
            }
        };
        auto watch = [&]() -> asio::awaitable<void> {
            std::size_t nodes = 0;
            int pages = 0;
            for (bool complete = false; !complete;) {
                const auto message = co_await receive<ToNode>(web);
                if (const auto* changed = std::get_if<NodesChanged>(&message)) {
                    nodes += changed->nodes.size();
                    ++pages;
                    complete = changed->complete;
                }
            }
            CHECK(nodes == many_nodes + 1);
            CHECK(pages > 1);
            Effects effects;
            m.context.cluster.remove(Clock::now(), "old-7", effects);
            std::vector<std::string> gone;
            while (gone.empty()) {
                const auto message = co_await receive<ToNode>(web);
                if (const auto* changed = std::get_if<NodesChanged>(&message)) {
                    gone = changed->gone;
                    CHECK(changed->nodes.size() <= 1);
                }
            }
            CHECK(gone.size() == 1);
        };
        co_await until_first_failure(feeder(), watch());
    }(master));
}

TEST_CASE("tokens: made, checked by the webserver, limited to their role, revoked") {
    TestMaster master;
    master.run([](TestMaster& m) -> asio::awaitable<void> {
        const TlsClient admin(m.admin_key());
        Connection client = co_await connect(m, admin);
        client.send(client_hello());
        co_await receive<ToClient>(client);
        CreateToken create;
        create.id = 1;
        create.role = "viewer";
        create.name = "ann";
        client.send(create);
        const auto created = co_await receive<ToClient>(client);
        const auto token = std::get<TokenCreated>(created).token;
        client.send(create);
        const auto twice = co_await receive<ToClient>(client);
        CHECK(std::get<Failed>(twice).code == "conflict");

        const TlsClient join(m.join_key());
        Connection web = co_await connect(m, join);
        auto hello = node_hello("web");
        hello.role = "webserver";
        web.send(hello);
        co_await receive<ToNode>(web);
        CheckToken check;
        check.id = 5;
        check.token = token;
        web.send(check);
        const auto checked = co_await receive<ToNode>(web);
        CHECK(std::get<TokenChecked>(checked).role == "viewer");
        check.token = m.join_key();
        web.send(check);
        const auto no_token = co_await receive<ToNode>(web);
        CHECK(std::get<TokenChecked>(no_token).role.empty());

        const TlsClient viewer(token);
        Connection ann = co_await connect(m, viewer);
        ann.send(client_hello());
        co_await receive<ToClient>(ann);
        ann.send(ListNodes{3});
        const auto list = co_await receive<ToClient>(ann);
        CHECK(std::get<NodeList>(list).nodes.size() == 1);
        RemoveNode remove;
        remove.id = 4;
        remove.node = "web";
        ann.send(remove);
        const auto forbidden = co_await receive<ToClient>(ann);
        CHECK(std::get<Failed>(forbidden).code == "forbidden");

        RevokeToken revoke;
        revoke.id = 6;
        revoke.name = "ann";
        client.send(revoke);
        const auto done = co_await receive<ToClient>(client);
        CHECK(std::get<Done>(done).id == 6);
        const auto told = co_await receive<ToClient>(ann);
        CHECK(std::get<Refused>(told).code == "removed");
    }(master));
}

TEST_CASE("strangers: one silent connection too many of an address costs the oldest its place") {
    TestMaster master;
    master.run([](TestMaster& m) -> asio::awaitable<void> {
        std::vector<tcp::socket> strangers;
        const auto executor = co_await asio::this_coro::executor;
        const tcp::endpoint endpoint(asio::ip::address_v4::loopback(), m.listener.port());
        for (std::size_t i = 0; i < limits::unauthenticated_per_address + 3; ++i) {
            auto& socket = strangers.emplace_back(executor);
            co_await socket.async_connect(endpoint, asio::use_awaitable);
        }
        const Duration pause = 5ms;
        while (m.context.counters.accepted < static_cast<std::int64_t>(strangers.size()))
            co_await sleep_for(pause);
        m.context.lobby.sweep(Clock::now());
        CHECK(m.context.counters.closed_crowded == 0);
        m.context.lobby.sweep(Clock::now() + limits::unauthenticated_grace);
        CHECK(m.context.counters.closed_crowded == 3);
        m.context.lobby.sweep(Clock::now() + limits::unauthenticated_time);
        CHECK(m.context.counters.closed_unauthenticated ==
              static_cast<std::int64_t>(limits::unauthenticated_per_address));
    }(master));
}

TEST_CASE("a plain peer is served with --plain as the texts say, and closed without") {
    const bool plain = GENERATE(true, false);
    TestMaster master(plain);
    master.run([](TestMaster& m, bool opened) -> asio::awaitable<void> {
        const auto address = m.address();
        Connection link = co_await dial(address);
        link.set_frame_limits(limits::control_frame_bytes, 0);
        link.send_bytes("{\"type\":\"info\",\"payload\":\"uuid\"}\r");
        if (!opened) {
            const auto reason = co_await end_of(link);
            CHECK(reason.find("peer") != std::string::npos);
            CHECK(m.context.counters.refused_plain == 1);
            co_return;
        }
        const Frame uuid = co_await link.next_frame();
        CHECK(uuid.json.starts_with("{\"type\":\"uuid\",\"payload\":\""));
        CHECK(uuid.json.size() ==
              std::string_view("{\"type\":\"uuid\",\"payload\":\"\"}").size() + 32);
        link.send_bytes(
            "{\"type\":\"computer_details\",\"payload\":{\"hostname\":\"old-pi\"}}\r"
            "{\"type\":\"info\",\"payload\":\"nonsense\"}\r");
        const Frame bad = co_await link.next_frame();
        CHECK(bad.json == "{\"type\":\"bad_message\",\"payload\":\"unknown\"}");
        const auto* node = m.context.cluster.find("old-pi");
        REQUIRE(node != nullptr);
        CHECK(node->plain);
        link.send_bytes("{\"type\":\"info\",\"payload\":\"computer_details\"}\r");
        const Frame info = co_await link.next_frame();
        CHECK(info.json.starts_with("{\"type\":\"master_info\",\"payload\":{\"hostname\":"));
    }(master, plain));
}

TEST_CASE("what the master acknowledged is there after a restart") {
    TemporaryFolder folder;
    std::string join_key;
    {
        asio::io_context io;
        Context context(io.get_executor(), options_in(folder.path(), false));
        join_key = context.keyring.join_key()->key;
        NodeRecord record;
        record.id = "0123456789abcdef0123456789abcdef";
        record.name = "pi1";
        record.machine.cpu = "quote \" and \xC3\xB6";
        StoreBatch batch;
        batch.emplace_back(PutNode{record});
        auto commit = [&]() -> asio::awaitable<void> {
            co_await context.store.commit(std::move(batch));
        };
        test::run_all(io, commit());
    }
    asio::io_context io;
    Context context(io.get_executor(), options_in(folder.path(), false));
    CHECK(context.keyring.join_key()->key == join_key);
    REQUIRE(context.cluster.find("pi1") != nullptr);
    CHECK(context.cluster.find("pi1")->record.machine.cpu == "quote \" and \xC3\xB6");
    CHECK(context.cluster.find("pi1")->state == NodeState::suspect);
}

TEST_CASE("a list that is larger than an outbox reaches a client that reads") {
    TestMaster master;
    master.run([](TestMaster& m) -> asio::awaitable<void> {
        add_many_nodes(m);
        const TlsClient admin(m.admin_key());
        Connection client = co_await connect(m, admin);
        client.send(client_hello());
        co_await receive<ToClient>(client);
        client.send(ListNodes{1});
        std::size_t nodes = 0;
        for (bool more = true; more;) {
            const auto message = co_await receive<ToClient>(client);
            nodes += std::get<NodeList>(message).nodes.size();
            more = std::get<NodeList>(message).more;
        }
        CHECK(nodes == many_nodes);
    }(master));
}

TEST_CASE("a token that is revoked between handshake and hello opens nothing") {
    TestMaster master;
    master.run([](TestMaster& m) -> asio::awaitable<void> {
        StoreBatch batch;
        const auto record = add_key(m.context, "admin", "ann", "", batch);
        const TlsClient token(record.key);
        Connection client = co_await connect(m, token);
        m.context.keyring.drop(record.identity);
        client.send(client_hello());
        const auto reason = co_await end_of(client);
        CHECK(reason == "closed by the peer");
        CHECK(m.context.clients == 0);
    }(master));
}
