#include <catch2/catch.hpp>

#include <boost/asio/ip/address.hpp>
#include <string>
#include <vector>

#include "common/limits.hpp"
#include "slave/web/attempts.hpp"
#include "slave/web/host_rule.hpp"
#include "slave/web/http.hpp"

using namespace rpic;
using boost::asio::ip::make_address;

namespace {

HostVerdict judge(const HostRule& rule, std::string_view host, const char* local = "127.0.0.1") {
    return judge_host(rule, host, make_address(local));
}

unsigned status_of(std::string bytes) {
    RequestReader reader;
    try {
        return reader.next(bytes) ? 200 : 0;
    } catch (const BadRequestError& error) {
        return error.status;
    }
}

}  // namespace

TEST_CASE("hosts of a server on loopback", "[web]") {
    HostRule rule;
    rule.port = 8123;
    rule.names = {"board.example"};
    for (const char* good : {"localhost", "LocalHost:8123", "localhost.", "localhost:", "127.0.0.1",
                             "127.8.9.10:8123", "[::1]", "[::1]:8123", "board.example:8123"}) {
        CAPTURE(good);
        CHECK(judge(rule, good) == HostVerdict::ours);
    }
    for (const char* foreign :
         {"localhost:80", "evil.example", "a.localhost", "192.168.1.5", "localhost.evil.example",
          "127.0.0.1.evil.example", "[fe80::1]", "0.0.0.0", "[::ffff:10.0.0.1]", "", ":8123"}) {
        CAPTURE(foreign);
        CHECK(judge(rule, foreign) == HostVerdict::foreign);
    }
    for (const char* malformed :
         {"user@localhost", "localhost:x", "localhost:0", "localhost:65536", "[::1", "[localhost]",
          "[::1]8123", "::1", "local host", "localhost/", "localhost:80:80"}) {
        CAPTURE(malformed);
        CHECK(judge(rule, malformed) == HostVerdict::malformed);
    }
}

TEST_CASE("hosts of a server beyond loopback", "[web]") {
    HostRule rule;
    rule.port = 8123;
    rule.beyond_loopback = true;
    CHECK(judge(rule, "192.168.1.5:8123", "192.168.1.5") == HostVerdict::ours);
    CHECK(judge(rule, "192.168.1.5", "::ffff:192.168.1.5") == HostVerdict::ours);
    CHECK(judge(rule, "[fe80::5]", "fe80::5%1") == HostVerdict::ours);
    CHECK(judge(rule, "192.168.1.6", "192.168.1.5") == HostVerdict::foreign);
    CHECK(judge(rule, "192.168.1.5:80", "192.168.1.5") == HostVerdict::foreign);
}

TEST_CASE("addresses that are allowed, as behind a forwarded port", "[web]") {
    HostRule rule;
    rule.port = 8123;
    rule.beyond_loopback = true;
    rule.names = {"192.168.1.10", "[2001:db8::0:1]", "fd00::1"};
    for (const char* good : {"192.168.1.10:8123", "192.168.1.10", "[2001:DB8:0::1]:8123",
                             "[fd00:0::1]", "[::ffff:192.168.1.10]", "172.18.0.2:8123"}) {
        CAPTURE(good);
        CHECK(judge(rule, good, "172.18.0.2") == HostVerdict::ours);
    }
    for (const char* foreign : {"192.168.1.10:9000", "192.168.1.11:8123", "[fd00::2]"}) {
        CAPTURE(foreign);
        CHECK(judge(rule, foreign, "172.18.0.2") == HostVerdict::foreign);
    }
    rule.beyond_loopback = false;
    CHECK(judge(rule, "192.168.1.10:8123") == HostVerdict::ours);
}

TEST_CASE("loopback is recognised through IPv6 too", "[web]") {
    CHECK(is_loopback(make_address("127.0.0.1")));
    CHECK(is_loopback(make_address("::1")));
    CHECK(is_loopback(make_address("::ffff:127.1.2.3")));
    CHECK_FALSE(is_loopback(make_address("::ffff:10.0.0.1")));
    CHECK_FALSE(is_loopback(make_address("0.0.0.0")));
}

TEST_CASE("a request may be cut anywhere", "[web]") {
    const std::string first = "GET /a?b=c HTTP/1.1\r\nHost: one\r\nAccept-Encoding: gzip\r\n\r\n";
    const std::string second = "HEAD /d HTTP/1.1\r\nHost: two\r\nConnection: close\r\n\r\n";
    const std::string both = first + second;
    for (std::size_t cut = 0; cut <= both.size(); ++cut) {
        CAPTURE(cut);
        RequestReader reader;
        std::vector<Request> requests;
        std::string bytes;
        for (const std::string& part : {both.substr(0, cut), both.substr(cut)}) {
            bytes += part;
            while (auto request = reader.next(bytes)) requests.push_back(*request);
        }
        REQUIRE(requests.size() == 2);
        CHECK(bytes.empty());
        CHECK(requests[0].method == "GET");
        CHECK(requests[0].target == "/a?b=c");
        CHECK(requests[0].path == "/a");
        CHECK(requests[0].hosts == std::vector<std::string>{"one"});
        CHECK(requests[0].accept_encoding == "gzip");
        CHECK(requests[0].keep_alive);
        CHECK(requests[1].path == "/d");
        CHECK_FALSE(requests[1].keep_alive);
    }
}

TEST_CASE("empty lines before a request are forgiven however they come", "[web]") {
    const std::string text = "\r\n\r\n\r\n\r\nGET /a HTTP/1.1\r\nHost: x\r\n\r\n";
    for (std::size_t cut = 0; cut < text.size(); ++cut) {
        RequestReader reader;
        std::string bytes = text.substr(0, cut);
        CHECK_FALSE(reader.next(bytes));
        bytes += text.substr(cut);
        const auto request = reader.next(bytes);
        REQUIRE(request);
        CHECK(request->path == "/a");
    }
}

TEST_CASE("what is no request", "[web]") {
    CHECK(status_of("GET / HTTP/1.1\r\nHost: x\r\n\r\n") == 200);
    CHECK(status_of("\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n") == 200);
    CHECK(status_of("GET / HTTP/1.1\r\nHost: x\r\n") == 0);
    CHECK(status_of("hello\r\n\r\n") == 400);
    CHECK(status_of("GET /\r\n\r\n") == 400);
    CHECK(status_of("GET / HTTP/3.0\r\n\r\n") == 400);
    CHECK(status_of("GET relative HTTP/1.1\r\nHost: x\r\n\r\n") == 400);
    CHECK(status_of("CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n") == 400);
    CHECK(status_of("GET / HTTP/1.1\r\nHost x\r\n\r\n") == 400);
    CHECK(status_of(std::string("GET /\0 HTTP/1.1\r\n\r\n", 20)) == 400);
    CHECK(status_of("POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n") ==
          400);
    const std::string padding(limits::web_header_bytes, 'x');
    CHECK(status_of("GET /" + padding) == 431);
    CHECK(status_of("GET / HTTP/1.1\r\nCookie: " + padding) == 431);
    CHECK(status_of("GET / HTTP/1.1\r\nCookie: " + padding + "\r\n\r\n") == 431);
}

TEST_CASE("the host of an absolute target counts", "[web]") {
    RequestReader reader;
    std::string bytes = "GET http://two:8123?q HTTP/1.1\r\nHost: one\r\n\r\n";
    const auto request = reader.next(bytes);
    REQUIRE(request);
    CHECK(request->hosts == std::vector<std::string>{"two:8123"});
    CHECK(request->target == "/?q");
    CHECK(request->path == "/");
}

TEST_CASE("announced bodies are seen", "[web]") {
    const auto has_body = [](const std::string& field) {
        RequestReader reader;
        std::string bytes = "POST / HTTP/1.1\r\nHost: x\r\n" + field + "\r\n\r\n";
        const auto request = reader.next(bytes);
        return request && request->has_body();
    };
    CHECK(has_body("Content-Length: 5"));
    CHECK(has_body("Transfer-Encoding: chunked"));
    CHECK_FALSE(has_body("Content-Length: 0"));
}

TEST_CASE("tokens in an Authorization field", "[web]") {
    CHECK(token_in("Bearer abc") == "abc");
    CHECK(token_in("bearer   abc ") == "abc");
    CHECK(token_in("Basic dXNlcjpwYTpzcw==") == "pa:ss");
    CHECK(token_in("basic OnBhc3M=") == "pass");
    CHECK(token_in("Basic dXNlcg==") == "");
    CHECK(token_in("Basic !!!!") == "");
    CHECK(token_in("Basic abc") == "");
    CHECK(token_in("Digest abc") == "");
    CHECK(token_in("Bearer") == "");
    CHECK(token_in("") == "");
}

TEST_CASE("wrong tokens are limited for each address", "[web]") {
    TokenAttempts attempts;
    const Instant start{};
    const auto one = make_address("10.0.0.1");
    for (int i = 0; i < limits::web_token_failures; ++i) CHECK(attempts.take(one, start));
    CHECK_FALSE(attempts.take(one, start));
    CHECK(attempts.take(make_address("10.0.0.2"), start));
    CHECK(attempts.refused_until(one, start) == start + limits::web_token_window);
    CHECK_FALSE(attempts.take(one, start + limits::web_token_window - Duration(1)));
    CHECK(attempts.take(one, start + limits::web_token_window));

    SECTION("a good token gives its attempt back") {
        const auto good = make_address("10.0.0.3");
        for (int i = 0; i < 3 * limits::web_token_failures; ++i) {
            CHECK(attempts.take(good, start));
            attempts.give_back(good);
        }
    }
    SECTION("neighbours of one IPv6 network count together") {
        for (int i = 0; i < limits::web_token_failures; ++i)
            CHECK(attempts.take(make_address("2001:db8::" + std::to_string(i + 1)), start));
        CHECK_FALSE(attempts.take(make_address("2001:db8::99"), start));
        CHECK(attempts.take(make_address("2001:db8:0:1::99"), start));
    }
    SECTION("the table does not grow for ever") {
        for (unsigned i = 0; i < 3 * limits::web_token_addresses; ++i)
            attempts.take(boost::asio::ip::address_v4(0x0B000000U + i), start);
        CHECK(attempts.size() <= limits::web_token_addresses + 1);
        attempts.take(one, start + 2 * limits::web_token_window);
        CHECK(attempts.size() == 1);
    }
}
