#include <boost/json.hpp>
#include <catch2/catch.hpp>

#include "slave/web/asset_table.hpp"
#include "slave/web/event_feed.hpp"
#include "test/async/web_client.hpp"

using namespace rpic;
using namespace web_test;
namespace json = boost::json;

TEST_CASE("the page and its files", "[web]") {
    Fixture web;
    const HttpReply page = web.get("/");
    CHECK(page.status == 200);
    CHECK(page.field("Content-Type") == "text/html; charset=utf-8");
    CHECK(page.body.find("<title>rpicluster</title>") != std::string::npos);
    const std::string policy = page.field("Content-Security-Policy");
    CHECK(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self'"));
    CHECK(policy.find("unsafe") == std::string::npos);
    CHECK(page.field("X-Content-Type-Options") == "nosniff");
    CHECK(page.field("X-Frame-Options") == "DENY");
    CHECK(page.field("Referrer-Policy") == "no-referrer");
    CHECK(page.field("Content-Encoding") == "(none)");

    for (const EmbeddedFile& file : embedded_files()) {
        CAPTURE(file.path);
        const std::string plain(file.plain, file.plain_end);
        CHECK(web.get(file.path).body == plain);
        const HttpReply packed = web.get(file.path, "Accept-Encoding: br, gzip;q=0.8\r\n");
        CHECK(packed.field("Content-Encoding") == "gzip");
        CHECK(packed.body == std::string(file.packed, file.packed_end));
        CHECK(packed.body.substr(0, 2) == "\x1f\x8b");
        // The last four bytes of a gzip file are the size of what it holds (RFC 1952).
        REQUIRE(packed.body.size() > 18);
        const auto* tail =
            reinterpret_cast<const unsigned char*>(packed.body.data()) + packed.body.size() - 4;
        CHECK((tail[0] | tail[1] << 8 | tail[2] << 16) == static_cast<int>(plain.size()));
        CHECK(packed.field("ETag") != web.get(file.path).field("ETag"));
    }
    CHECK(web.get("/", "Accept-Encoding: gzip;q=0\r\n").field("Content-Encoding") == "(none)");
}

TEST_CASE("a file that the browser has is not sent again", "[web]") {
    Fixture web;
    const std::string etag = web.get("/app.js").field("ETag");
    const auto client = web.connect();
    const HttpReply same = web.ask(*client, "/app.js", "If-None-Match: \"x\", " + etag + "\r\n");
    CHECK(same.status == 304);
    CHECK(same.field("ETag") == etag);
    // Nothing may follow a 304: the next answer begins right behind it.
    CHECK(web.ask(*client, "/app.js", "If-None-Match: \"other\"\r\n").status == 200);
}

TEST_CASE("the nodes as JSON", "[web]") {
    Fixture web;
    CHECK(web.get("/api/v1/nodes").body == R"({"version":1,"nodes":[]})");

    web.view.put_node(make_node("1", "zeta"), Clock::now() - 10s);
    web.view.put_node(make_node("2", "alpha"), Clock::now());
    NodeView silent = make_node("3", "mid<script>");
    silent.last_seen_seconds.reset();
    web.view.put_node(silent, Clock::now());
    const HttpReply reply = web.get("/api/v1/nodes");
    CHECK(reply.field("Content-Type") == "application/json");
    CHECK(reply.field("Cache-Control") == "no-cache, private");
    const json::value value = json::parse(reply.body);
    CHECK(value.as_object().size() == 2);
    const auto& nodes = value.at("nodes").as_array();
    REQUIRE(nodes.size() == 3);
    CHECK(nodes[0].at("name") == "alpha");
    CHECK(nodes[1].at("name") == "mid<script>");
    CHECK(nodes[1].at("last_seen_seconds").is_null());
    CHECK(nodes[2].at("name") == "zeta");
    // The master told 1.5 s, and that was 10 s ago.
    CHECK(nodes[2].at("last_seen_seconds").to_number<double>() >= 11.5);
    CHECK(nodes[2].at("last_seen_seconds").to_number<double>() < 30);
    CHECK(nodes[0].at("vitals").at("temperature_c").is_null());
}

TEST_CASE("the master as JSON", "[web]") {
    Fixture web;
    web.view.trouble = "connection refused";
    web.view.master = "10.0.0.9:12345";
    json::value value = json::parse(web.get("/api/v1/master").body);
    CHECK(value.at("version") == 1);
    CHECK(value.at("master").is_null());
    CHECK(value.at("connected") == false);
    CHECK(value.at("updated_seconds_ago").is_null());
    CHECK(value.at("trouble") == "connection refused");

    MasterView master;
    master.machine.hostname = "shelf";
    web.view.master_view = master;
    web.view.connected = true;
    web.view.updated = Clock::now() - 3s;
    value = json::parse(web.get("/api/v1/master?x=1").body);
    CHECK(value.at("master").at("machine").at("hostname") == "shelf");
    CHECK(value.at("connected") == true);
    CHECK(value.at("updated_seconds_ago").to_number<double>() >= 3);
}

TEST_CASE("a server that has just started waits for its first picture of the cluster", "[web]") {
    Fixture web;
    web.view.starting = true;
    const auto list = web.connect();
    const auto node = web.connect();
    list->send("GET /api/v1/nodes HTTP/1.1\r\nHost: localhost\r\n\r\n");
    node->send("GET /api/v1/nodes/pi1 HTTP/1.1\r\nHost: localhost\r\n\r\n");
    const auto answered = [&](WebClient& client) {
        client.pump();
        return !client.received.empty();
    };
    CHECK_FALSE(web.until([&] { return answered(*list) || answered(*node); }, 100ms));
    NodeView view;
    view.id = "1";
    view.name = "pi1";
    web.view.put_node(view, Clock::now());
    web.view.starting = false;
    web.view.touch();
    CHECK(web.next_reply(*list).body.find("pi1") != std::string::npos);
    CHECK(web.next_reply(*node).status == 200);
}

TEST_CASE("HEAD is GET without the body", "[web]") {
    Fixture web;
    const std::string length = web.get("/style.css").field("Content-Length");
    const auto client = web.connect();
    client->send("HEAD /style.css HTTP/1.1\r\nHost: localhost\r\n\r\n");
    const HttpReply head = web.next_reply(*client, true);
    CHECK(head.status == 200);
    CHECK(head.field("Content-Length") == length);
    CHECK(web.ask(*client, "/api/v1/nodes").status == 200);

    client->send("HEAD /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n");
    CHECK(web.next_reply(*client, true).field("Content-Type") == "text/event-stream");
    CHECK(web.closes(*client));
    CHECK(client->received.empty());
}

TEST_CASE("what is refused", "[web]") {
    Fixture web;
    SECTION("other methods") {
        for (const std::string method : {"POST", "PUT", "DELETE", "OPTIONS", "PATCH", "BREW"}) {
            CAPTURE(method);
            const HttpReply reply =
                web.send(method + " /api/v1/nodes HTTP/1.1\r\nHost: localhost\r\n\r\n");
            CHECK(reply.status == 405);
            CHECK(reply.field("Allow") == "GET, HEAD");
            CHECK(reply.field("Content-Type") == "application/problem+json");
            CHECK(json::parse(reply.body).at("status") == 405);
        }
    }
    SECTION("bodies, whose bytes never count as a request") {
        const auto client = web.connect();
        client->send("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 40\r\n\r\n");
        client->send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
        CHECK(web.next_reply(*client).status == 405);
        CHECK(web.closes(*client));
        CHECK(client->received.empty());
        const HttpReply reply =
            web.send("GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\nab");
        CHECK(reply.status == 413);
        CHECK(reply.field("Connection") == "close");
    }
    SECTION("unknown paths") {
        const HttpReply page = web.get("/index.htm");
        CHECK(page.status == 404);
        CHECK(page.field("Content-Type") == "text/plain; charset=utf-8");
        CHECK(page.field("Content-Security-Policy") != "(none)");
        const HttpReply api = web.get("/api/v1/node");
        CHECK(api.status == 404);
        CHECK(api.field("Content-Type") == "application/problem+json");
        CHECK(web.get("/../web_test.cpp").status == 404);
        CHECK(web.get("/%2e%2e/etc/passwd").status == 404);
    }
    SECTION("foreign and missing hosts") {
        const HttpReply foreign = web.send("GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n");
        CHECK(foreign.status == 421);
        CHECK(foreign.body.find("the port " + std::to_string(web.server->port())) !=
              std::string::npos);
        CHECK(web.send("GET http://evil.example/ HTTP/1.1\r\nHost: localhost\r\n\r\n").status ==
              421);
        CHECK(web.server->counters().foreign_hosts == 2);
        CHECK(web.send("GET / HTTP/1.1\r\n\r\n").status == 400);
        CHECK(web.send("GET / HTTP/1.0\r\n\r\n").status == 400);
        CHECK(web.send("GET / HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n").status ==
              400);
        const std::string own = "127.0.0.1:" + std::to_string(web.server->port());
        CHECK(web.send("GET / HTTP/1.1\r\nHost: " + own + "\r\n\r\n").status == 200);
    }
    SECTION("headers that are too long, and what is no HTTP") {
        const std::string cookie(limits::web_header_bytes, 'x');
        const auto client = web.connect();
        client->send("GET / HTTP/1.1\r\nHost: localhost\r\nCookie: " + cookie);
        CHECK(web.next_reply(*client).status == 431);
        CHECK(web.closes(*client));
        CHECK(web.send("{\"type\":\"info\"}\r\r\n\r\n").status == 400);
        CHECK(web.server->counters().bad_requests == 2);
    }
}

TEST_CASE("a request that comes byte by byte", "[web]") {
    Fixture web;
    const auto client = web.connect();
    client->socket().set_option(tcp::no_delay(true));
    for (const char c : std::string("GET /api/v1/nodes HTTP/1.1\r\nHost: localhost\r\n\r\n")) {
        client->send(std::string(1, c));
        client->pump();
        web.io.restart();
        web.io.run_for(1ms);
    }
    CHECK(web.next_reply(*client).status == 200);
}

TEST_CASE("several requests at once are answered in order", "[web]") {
    Fixture web;
    const auto client = web.connect();
    for (const std::string path : {"/", "/nothing", "/api/v1/nodes", "/nothing", "/app.js"})
        client->send("GET " + path + " HTTP/1.1\r\nHost: localhost\r\n\r\n");
    for (const int status : {200, 404, 200, 404, 200})
        CHECK(web.next_reply(*client).status == status);
    client->send("GET / HTTP/1.0\r\nHost: localhost\r\n\r\n");
    CHECK(web.next_reply(*client).field("Connection") == "close");
    CHECK(web.closes(*client));
}

TEST_CASE("who is slow is closed", "[web]") {
    WebTimes times;
    times.request = 300ms;
    times.idle = 600ms;
    Fixture web(false, times);
    const auto silent = web.connect();
    const auto partial = web.connect();
    const auto idle = web.connect();
    partial->send("GET / HTTP/1.1\r\nHost");
    CHECK(web.ask(*idle, "/nothing").status == 404);
    CHECK(web.closes(*silent));
    CHECK(web.closes(*partial));
    CHECK(web.closes(*idle));
    CHECK(web.server->counters().timed_out >= 3);
}

TEST_CASE("events: the state at once, then each change", "[web]") {
    Fixture web;
    web.view.put_node(make_node("1", "pi1"), Clock::now());
    const auto client = web.connect();
    client->send("GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n");
    const json::value first = json::parse(web.next_event(*client));
    CHECK(first.at("nodes").as_array().size() == 1);
    CHECK(first.at("connected") == false);
    CHECK(first.at("master").is_null());
    CHECK(first.as_object().contains("updated_seconds_ago"));

    web.view.connected = true;
    web.view.touch_master();
    web.view.put_node(make_node("2", "pi2"), Clock::now());
    web.view.forget_node("1");
    web.view.touch();
    CHECK(json::parse(web.next_event(*client, "master")).at("connected") == true);
    const json::value second = json::parse(web.next_event(*client, "nodes"));
    REQUIRE(second.at("changed").as_array().size() == 1);
    CHECK(second.at("changed").at(0).at("name") == "pi2");
    CHECK(second.at("gone") == json::array{"1"});
    CHECK(json::parse(web.next_event(*client, "verdict")).at("tone") == "good");
}

TEST_CASE("events: whoever comes back gets what is missing", "[web]") {
    Fixture web;
    const auto first = web.watch();
    web.change_something();
    CHECK(web.next_event(*first, "nodes") != "");
    const json::value state = json::parse(web.get("/api/v1/state").body);
    const std::string id(state.at("id").as_string());
    web.view.put_node(make_node("2", "pi2"), Clock::now());
    web.view.touch();
    CHECK(web.next_event(*first, "nodes").find("pi2") != std::string::npos);

    const auto again = web.connect();
    again->send("GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\nLast-Event-ID: " + id +
                "\r\n\r\n");
    CHECK(web.next_event(*again, "nodes").find("pi2") != std::string::npos);
    CHECK(again->received.find("event: state") == std::string::npos);
    const std::vector<std::string> unknown_ids = {"x", "-1", "other-1", "999999999999999999999",
                                                  id + "9999"};
    for (const auto& unknown : unknown_ids) {
        CAPTURE(unknown);
        const auto lost = web.connect();
        lost->send("GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\nLast-Event-ID: " + unknown +
                   "\r\n\r\n");
        CHECK(web.next_event(*lost).find("pi2") != std::string::npos);
    }
}

TEST_CASE("events: many changes become few events", "[web]") {
    Fixture web;
    const auto client = web.watch();
    const auto start = std::chrono::steady_clock::now();
    int events = 0;
    while (std::chrono::steady_clock::now() - start < 1s) {
        web.change_something();
        web.io.restart();
        web.io.run_for(5ms);
        client->pump();
    }
    for (auto at = client->received.find("event: nodes"); at != std::string::npos;
         at = client->received.find("event: nodes", at + 1))
        ++events;
    CHECK(events >= 2);
    CHECK(events <= 5);
}

TEST_CASE("events: who does not read is dropped, the others are not", "[web]") {
    Fixture web;
    const auto change_all = [&] {
        for (int i = 0; i < 700; ++i)
            web.view.put_node(make_node(std::to_string(i), "node" + std::to_string(i)),
                              Clock::now());
        web.view.touch();
    };
    change_all();
    const auto reader = web.watch();
    const auto lazy = web.connect("127.0.0.1", 4096);
    lazy->send("GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n");
    lazy->pump();
    int events = 0;
    const bool dropped = web.until(
        [&] {
            change_all();
            reader->pump();
            events += reader->received.find("event: nodes") != std::string::npos;
            reader->received.clear();
            // However soon the lazy one is dropped, the reader goes on.
            return web.server->counters().dropped_viewers > 0 && events > 1;
        },
        20s);
    CHECK(dropped);
    CHECK(web.server->counters().dropped_viewers == 1);
    CHECK(web.closes(*lazy));
    web.change_something();
    CHECK(web.next_event(*reader, "nodes") != "");
}

TEST_CASE("events: a slow link gets a large state, whatever happens meanwhile", "[web]") {
    Fixture web;
    for (int i = 0; i < 4000; ++i)
        web.view.put_node(make_node(std::to_string(i), "node" + std::to_string(i)), Clock::now());
    web.view.touch();
    const auto slow = web.connect("127.0.0.1", 64 * 1024);
    slow->send("GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n");
    slow->pump();
    // Several events come while the state is on its way.
    web.until(
        [&] {
            web.change_something();
            return false;
        },
        1s);
    CHECK(web.server->counters().dropped_viewers == 0);
    CHECK(web.next_event(*slow).size() > 2 * limits::web_viewer_outbox_bytes);
    CHECK(web.next_event(*slow, "nodes") != "");
    CHECK(web.server->counters().dropped_viewers == 0);
}

TEST_CASE("events: only so many may watch", "[web]") {
    Fixture web;
    std::vector<std::unique_ptr<WebClient>> viewers;
    for (std::size_t i = 0; i < limits::web_viewers; ++i) viewers.push_back(web.watch());
    const HttpReply refused = web.get("/api/v1/events");
    CHECK(refused.status == 503);
    CHECK(refused.field("Retry-After") != "(none)");
    CHECK(web.get("/api/v1/nodes").status == 200);
    viewers.pop_back();
    // The place is free once the server has noticed, which the next event makes it do.
    const bool free_again = web.until([&] {
        web.change_something();
        return web.get("/api/v1/events").status == 200;
    });
    CHECK(free_again);
}

TEST_CASE("events: a quiet stream is kept alive, a busy one is paced", "[web]") {
    asio::io_context io;
    ClusterView view(io.get_executor());
    EventFeed feed(view);
    bool dropped = false;
    EventFeed::Viewer viewer(feed, io.get_executor(), "", [&] { dropped = true; });
    const auto take = [&] {
        EventFeed::Piece taken;
        asio::co_spawn(io, viewer.next(), [&](std::exception_ptr, EventFeed::Piece piece) {
            taken = std::move(piece);
        });
        io.restart();
        io.poll();
        REQUIRE(taken);
        viewer.sent();
        return *taken;
    };
    const auto change = [&](const char* id) {
        view.put_node(make_node(id, id), Clock::now());
        view.touch();
    };
    const Instant start = Clock::now();
    CHECK(take().find("event: state\ndata: {") != std::string::npos);
    feed.tick(start);  // as none was sent before, one is due now
    CHECK(take().find("event: verdict") != std::string::npos);
    CHECK(take().starts_with(": keep-alive\n\nevent: alive\ndata: {\"clock\":"));
    feed.tick(start + limits::web_keep_alive - 1ms);
    feed.tick(start + limits::web_keep_alive);
    CHECK(take().starts_with(": keep-alive\n\n"));

    change("1");
    feed.tick(start + 2 * limits::web_keep_alive - 1ms);
    CHECK(take().find("event: nodes\n") != std::string::npos);

    // Changes within the interval wait for its end, and share one event.
    const Instant later = start + 2 * limits::web_keep_alive + 1h;
    change("2");
    feed.tick(later);
    CHECK(take().find("\"2\"") != std::string::npos);
    CHECK(take().starts_with(": keep-alive\n\n"));
    change("8");
    feed.tick(later + limits::web_event_interval / 2);
    change("9");
    feed.tick(later + limits::web_event_interval);
    const auto both = take();
    CHECK(both.find("\"8\"") != std::string::npos);
    CHECK(both.find("\"9\"") != std::string::npos);

    // A new picture replaces everything.
    view.begin_anew();
    view.touch();
    feed.tick(later + 10 * limits::web_event_interval);
    CHECK(take().find("event: state\n") != std::string::npos);
    CHECK_FALSE(dropped);
}

TEST_CASE("stopping ends every connection", "[web]") {
    Fixture web;
    const auto viewer = web.watch();
    const auto idle = web.connect();
    const auto partial = web.connect();
    CHECK(web.ask(*idle, "/").status == 200);
    partial->send("GET / HT");
    partial->pump();
    const auto start = std::chrono::steady_clock::now();
    web.stop();
    CHECK(std::chrono::steady_clock::now() - start < 1s);
    CHECK(web.closes(*viewer));
    CHECK(web.closes(*idle));
    CHECK(web.closes(*partial));
}

TEST_CASE("an address that is not to be had", "[web]") {
    Fixture web;
    WebOptions options;
    options.port = web.server->port();
    const auto make = [&] { WebServer(web.io.get_executor(), options, web.view, MasterAccess()); };
    CHECK_THROWS_AS(make(), ConfigError);
    CHECK_THROWS_WITH(make(), Catch::Contains(std::to_string(options.port)));
    options.bind = "no address";
    CHECK_THROWS_WITH(make(), Catch::Contains("no address"));
}
