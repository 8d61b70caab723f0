#include <openssl/x509.h>
#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <fstream>

#include "slave/web/certificate.hpp"
#include "test/async/web_client.hpp"

using namespace rpic;
using namespace web_test;

namespace {

const char* const other_machine = "127.0.0.2";
const std::string good = "Authorization: Bearer viewer-token\r\n";
const std::string wrong = "Authorization: Bearer wrong-token\r\n";

std::unique_ptr<WebClient> connect_tls(Fixture& web, const char* source = other_machine) {
    auto client = web.connect(source);
    client->start_tls();
    return client;
}

HttpReply ask_tls(Fixture& web, const std::string& path, const std::string& fields = "") {
    const auto client = connect_tls(web);
    return web.ask(*client, path, fields);
}

std::string peer_fingerprint(WebClient& client) {
    X509* certificate = SSL_get1_peer_certificate(client.ssl());
    REQUIRE(certificate != nullptr);
    unsigned char digest[32];
    unsigned int size = 0;
    X509_digest(certificate, EVP_sha256(), digest, &size);
    X509_free(certificate);
    std::string text;
    char byte[4];
    for (unsigned int i = 0; i < size; ++i) {
        std::snprintf(byte, sizeof byte, "%s%02X", i == 0 ? "" : ":", digest[i]);
        text += byte;
    }
    return text;
}

}  // namespace

TEST_CASE("this machine needs neither HTTPS nor a token", "[web]") {
    Fixture web(true);
    CHECK(web.get("/api/v1/nodes").status == 200);
    const auto client = connect_tls(web, "127.0.0.1");
    CHECK(web.ask(*client, "/api/v1/nodes").status == 200);
    CHECK(web.questions == 0);
}

TEST_CASE("another machine is sent to HTTPS", "[web]") {
    Fixture web(true);
    const auto client = web.connect(other_machine);
    const std::string host = "127.0.0.2:" + std::to_string(web.server->port());
    client->send("GET /api/v1/nodes?x=y HTTP/1.1\r\nHost: " + host + "\r\n" + good + "\r\n");
    const HttpReply reply = web.next_reply(*client);
    CHECK(reply.status == 308);
    CHECK(reply.field("Location") == "https://" + host + "/api/v1/nodes?x=y");
    CHECK(web.closes(*client));
    CHECK(web.questions == 0);

    const auto foreign = web.connect(other_machine);
    foreign->send("GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n");
    CHECK(web.next_reply(*foreign).status == 421);
}

TEST_CASE("another machine needs a token", "[web]") {
    Fixture web(true);
    for (const std::string path :
         {"/", "/api/v1/nodes", "/api/v1/events", "/api/v1/jobs", "/metrics", "/nothing"}) {
        CAPTURE(path);
        const HttpReply reply = ask_tls(web, path);
        CHECK(reply.status == 401);
        CHECK(reply.head.find("WWW-Authenticate: Bearer realm=") != std::string::npos);
        // The page has a form of its own, and a browser's would come before it.
        CHECK(reply.head.find("WWW-Authenticate: Basic") == std::string::npos);
        CHECK(reply.body.find("\"version\"") == std::string::npos);
    }
    // The page that the form to log in is on, and what it is made of, are for everybody.
    CHECK(ask_tls(web, "/").field("Content-Type") == "text/html; charset=utf-8");
    CHECK(ask_tls(web, "/style.css").status == 200);
    CHECK(ask_tls(web, "/api/openapi.json").status == 200);
    CHECK(web.questions == 0);

    const auto client = connect_tls(web);
    CHECK(web.ask(*client, "/", good).status == 200);
    CHECK(peer_fingerprint(*client) == web.server->certificate_fingerprint());
    CHECK(web.ask(*client, "/api/v1/nodes").status == 401);  // each request, not each connection
    // "Basic" with any user and the token as password, as curl -u sends it: x:admin-token.
    const HttpReply basic = ask_tls(web, "/", "Authorization: Basic eDphZG1pbi10b2tlbg==\r\n");
    CHECK(basic.status == 200);
}

TEST_CASE("the master is not asked for every request", "[web]") {
    Fixture web(true);
    const auto client = connect_tls(web);
    for (int i = 0; i < 20; ++i) CHECK(web.ask(*client, "/api/v1/nodes", good).status == 200);
    CHECK(web.questions == 1);
}

TEST_CASE("wrong tokens are refused, then not even looked at", "[web]") {
    Fixture web(true);
    const auto client = connect_tls(web);
    for (int i = 0; i < limits::web_token_failures; ++i)
        CHECK(web.ask(*client, "/", wrong).status == 401);
    const HttpReply refused = web.ask(*client, "/", wrong);
    CHECK(refused.status == 429);
    CHECK(refused.field("Retry-After") != "(none)");
    CHECK(ask_tls(web, "/", good).status == 429);
    CHECK(web.questions == limits::web_token_failures);
    CHECK(web.get("/").status == 200);
    CHECK(web.server->counters().refused_tokens == limits::web_token_failures + 2U);
}

TEST_CASE("many guesses at once count as many", "[web]") {
    Fixture web(true);
    std::vector<std::unique_ptr<WebClient>> clients;
    for (int i = 0; i < 3 * limits::web_token_failures; ++i) {
        clients.push_back(connect_tls(web));
        clients.back()->send("GET / HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer guess" +
                             std::to_string(i) + "\r\n\r\n");
    }
    int too_many = 0;
    for (const auto& client : clients) too_many += web.next_reply(*client).status == 429;
    CHECK(too_many == 2 * limits::web_token_failures);
    CHECK(web.questions == limits::web_token_failures);
}

TEST_CASE("while the master is away, nobody new gets in", "[web]") {
    Fixture web(true);
    web.master_away = true;
    for (int i = 0; i < 2 * limits::web_token_failures; ++i)
        CHECK(ask_tls(web, "/", good).status == 503);
    web.master_away = false;
    CHECK(ask_tls(web, "/", good).status == 200);
}

TEST_CASE("events over HTTPS", "[web]") {
    Fixture web(true);
    const auto client = connect_tls(web);
    client->send("GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n" + good + "\r\n");
    CHECK(web.next_event(*client) != "");
    web.view.put_node(make_node("1", "pi1"), Clock::now());
    web.view.touch();
    CHECK(web.next_event(*client, "nodes").find("pi1") != std::string::npos);
}

TEST_CASE("a revoked token ends the events, a master that is away does not", "[web]") {
    WebTimes times;
    times.check_again = 100ms;
    Fixture web(true, times);
    const auto client = connect_tls(web);
    client->send("GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n" + good + "\r\n");
    CHECK(web.next_event(*client) != "");
    const auto watch_until = [&](const std::function<bool()>& done) {
        return web.until([&] {
            web.change_something();
            client->pump();
            return done();
        });
    };
    // A good token is believed for some seconds, so the first question comes after them.
    web.master_away = true;
    CHECK(watch_until([&] { return web.questions >= 4; }));
    CHECK_FALSE(client->closed());
    web.master_away = false;
    web.revoked = "viewer-token";
    CHECK(watch_until([&] { return client->closed(); }));
}

TEST_CASE("connections of one other machine are limited", "[web]") {
    Fixture web(true);
    std::vector<std::unique_ptr<WebClient>> clients;
    for (std::size_t i = 0; i < limits::web_connections_per_address; ++i)
        clients.push_back(web.connect(other_machine));
    const auto refused = web.connect(other_machine);
    CHECK(web.closes(*refused));
    CHECK(web.server->counters().refused_connections == 1);
    CHECK(web.get("/").status == 200);
}

TEST_CASE("who does not finish the handshake is closed", "[web]") {
    WebTimes times;
    times.request = 300ms;
    Fixture web(true, times);
    const auto client = web.connect(other_machine);
    client->send(std::string("\x16\x03\x01\x02\x00", 5));
    CHECK(web.closes(*client));
    const auto noise = web.connect(other_machine);
    noise->send("\x16 this is no handshake at all");
    CHECK(web.closes(*noise));
    CHECK(web.get("/").status == 200);
}

TEST_CASE("on loopback there is no certificate", "[web]") {
    Fixture web;
    CHECK(web.server->certificate_fingerprint().empty());
    CHECK(std::filesystem::is_empty(web.folder.path()));
    const auto client = connect_tls(web, "127.0.0.1");
    client->send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    CHECK(web.closes(*client));
}

TEST_CASE("the certificate stays, for its owner alone", "[web]") {
    TemporaryFolder folder;
    const auto path = folder.path() / "state";
    const WebCertificate made = load_certificate(path, "pi1");
    CHECK(made.fingerprint.size() == 32 * 3 - 1);
    CHECK(load_certificate(path, "renamed").fingerprint == made.fingerprint);
    for (const char* name : {"web.key", "web.crt"}) {
        struct stat status {};
        REQUIRE(stat((path / name).c_str(), &status) == 0);
        CHECK((status.st_mode & 0777) == 0600);
    }
    std::ofstream(path / "web.key", std::ios::trunc) << "not a key";
    CHECK(load_certificate(path, "pi1").fingerprint != made.fingerprint);
    // A hostname is not ours to choose: a strange one must not end up inside the certificate.
    CHECK_NOTHROW(load_certificate(folder.path() / "strange", "a,DNS:evil.example\n"));
}
