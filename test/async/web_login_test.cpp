#include <boost/json.hpp>

#include "slave/web/waiting.hpp"
#include "test/async/web_client.hpp"

/// Logins, and what a request may do, without a master.
using namespace rpic;
using namespace web_test;
namespace json = boost::json;

namespace {

const std::string submit = "Authorization: Bearer submit-token\r\n";

HttpReply post(Fixture& web, const std::string& path, const std::string& body,
               const std::string& fields = "", const std::string& method = "POST") {
    return web.send(method + ' ' + path +
                    " HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n" + fields +
                    "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body);
}

std::string code_of(const HttpReply& reply) {
    CAPTURE(reply.head, reply.body);
    REQUIRE(reply.field("Content-Type") == "application/problem+json");
    const auto problem = json::parse(reply.body);
    CHECK(problem.at("status") == reply.status);
    CHECK(problem.at("detail").as_string().size() > 10);
    return std::string(problem.at("code").as_string());
}

struct Session {
    std::string cookie;  // field
    std::string csrf;    // field
};

Session log_in(Fixture& web, const std::string& token) {
    const HttpReply reply = post(web, "/api/v1/login", "{\"token\":\"" + token + "\"}");
    REQUIRE(reply.status == 200);
    const auto set = reply.field("Set-Cookie");
    CHECK(set.find("; HttpOnly; SameSite=Strict") != std::string::npos);
    const auto csrf = std::string(json::parse(reply.body).at("csrf").as_string());
    return {"Cookie: " + set.substr(0, set.find(';')) + "\r\n", "X-CSRF-Token: " + csrf + "\r\n"};
}

}  // namespace

TEST_CASE("a login makes a session, a logout ends it", "[web]") {
    Fixture web;
    auto who = json::parse(web.get("/api/v1/whoami").body);
    CHECK(who.at("role") == "viewer");
    CHECK(who.at("name").is_null());
    CHECK(who.at("session") == false);

    const auto session = log_in(web, "admin-token");
    who = json::parse(web.get("/api/v1/whoami", session.cookie).body);
    CHECK(who.at("role") == "admin");
    CHECK(who.at("name") == "admin-token");
    CHECK(who.at("session") == true);

    const HttpReply refused = post(web, "/api/v1/logout", "", session.cookie);
    CHECK(refused.status == 403);
    const HttpReply out = post(web, "/api/v1/logout", "", session.cookie + session.csrf);
    CHECK(out.status == 204);
    CHECK(out.field("Set-Cookie").find("Max-Age=0") != std::string::npos);
    who = json::parse(web.get("/api/v1/whoami", session.cookie).body);
    CHECK(who.at("role") == "viewer");
    CHECK(post(web, "/api/v1/logout", "").status == 204);
}

TEST_CASE("a wrong login is refused, and guesses are limited", "[web]") {
    Fixture web;
    CHECK(code_of(post(web, "/api/v1/login", "{\"token\":\"wrong\"}")) == "unauthorized");
    CHECK(code_of(post(web, "/api/v1/login", "{}")) == "bad_request");
    CHECK(code_of(post(web, "/api/v1/login", "{\"tokn\":\"x\"}")) == "bad_request");
    CHECK(code_of(post(web, "/api/v1/login", "[1]")) == "bad_request");
    CHECK(code_of(post(web, "/api/v1/login", "{\"token\":")) == "bad_request");
    CHECK(code_of(post(web, "/api/v1/login", std::string(100, '['))) == "bad_request");
    for (int i = 1; i < limits::web_token_failures; ++i)
        CHECK(post(web, "/api/v1/login", "{\"token\":\"wrong\"}").status == 401);
    const HttpReply last = post(web, "/api/v1/login", "{\"token\":\"wrong\"}");
    CHECK(code_of(last) == "too_many_requests");
    CHECK(last.field("Retry-After") != "(none)");
    CHECK(web.get("/api/v1/nodes").status == 200);
}

TEST_CASE("what JSON cannot carry is no token, and the master is not asked", "[web]") {
    Fixture web;
    CHECK(code_of(web.get("/api/v1/nodes", "Authorization: Bearer \xff\xfe\r\n")) ==
          "unauthorized");
    // "me:" and the bytes FF FE, as the password of "Basic".
    CHECK(code_of(web.get("/api/v1/nodes", "Authorization: Basic bWU6//4=\r\n")) == "unauthorized");
    CHECK(web.questions == 0);
}

TEST_CASE("a stranger's body has one time limit for all of it", "[web]") {
    WebTimes times;
    times.request = 300ms;
    Fixture web(true, times);
    const auto stranger = web.connect("127.0.0.2");
    stranger->start_tls();
    stranger->send(
        "POST /api/v1/login HTTP/1.1\r\nHost: 127.0.0.2\r\n"
        "Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n");
    const auto start = std::chrono::steady_clock::now();
    // A byte now and then, none of them late.
    while (!web.closes(*stranger, 100ms) && std::chrono::steady_clock::now() - start < 3s)
        stranger->send("{");
    CHECK(stranger->closed());
    CHECK(std::chrono::steady_clock::now() - start < 2s);
}

TEST_CASE("a revoked token ends its sessions", "[web]") {
    Fixture web;
    const auto session = log_in(web, "admin-token");
    web.revoked = "admin-token";
    const bool ended = web.until([&] {
        return json::parse(web.get("/api/v1/whoami", session.cookie).body).at("session") == false;
    });
    CHECK(ended);
}

TEST_CASE("what changes something needs a token, the role and a sign of intent", "[web]") {
    Fixture web;
    const std::string job = "{\"command\":[\"true\"]}";
    CHECK(code_of(post(web, "/api/v1/jobs", job)) == "unauthorized");
    CHECK(code_of(post(web, "/api/v1/jobs", job, "Authorization: Bearer viewer-token\r\n")) ==
          "forbidden");
    CHECK(code_of(post(web, "/api/v1/nodes/pi1/drain", "", submit)) == "forbidden");
    // Basic is sent by browsers unasked: x:admin-token.
    CHECK(code_of(post(web, "/api/v1/jobs", job,
                       "Authorization: Basic eDphZG1pbi10b2tlbg==\r\n")) == "forbidden");
    const auto session = log_in(web, "submit-token");
    CHECK(code_of(post(web, "/api/v1/jobs", job, session.cookie)) == "forbidden");
    CHECK(code_of(post(web, "/api/v1/jobs", job, session.cookie + "X-CSRF-Token: 00\r\n")) ==
          "forbidden");
    // All is in order, but there is no master here.
    CHECK(code_of(post(web, "/api/v1/jobs", job, session.cookie + session.csrf)) == "unavailable");
    CHECK(code_of(post(web, "/api/v1/jobs", job, submit)) == "unavailable");

    for (const std::string foreign :
         {"Origin: http://evil.example\r\n", "Origin: null\r\n", "Origin: http://localhost:1\r\n",
          "Sec-Fetch-Site: cross-site\r\n", "Sec-Fetch-Site: same-site\r\n"}) {
        CAPTURE(foreign);
        CHECK(code_of(post(web, "/api/v1/jobs", job, submit + foreign)) == "forbidden");
        CHECK(code_of(post(web, "/api/v1/login", "{\"token\":\"admin-token\"}", foreign)) ==
              "forbidden");
    }
    const std::string own = "Origin: http://localhost\r\nSec-Fetch-Site: same-origin\r\n";
    CHECK(code_of(post(web, "/api/v1/jobs", job, submit + own)) == "unavailable");
}

TEST_CASE("who comes through a proxy on this machine needs a token", "[web]") {
    Fixture web;
    for (const std::string field : {"X-Forwarded-For: 1.2.3.4\r\n", "Forwarded: for=1.2.3.4\r\n",
                                    "X-Real-IP: 1.2.3.4\r\n", "via: 1.1 proxy\r\n"}) {
        CAPTURE(field);
        CHECK(code_of(web.get("/api/v1/nodes", field)) == "unauthorized");
        CHECK(web.get("/", field).status == 401);
        CHECK(json::parse(web.get("/api/v1/whoami", field).body).at("role").is_null());
        CHECK(web.get("/api/v1/nodes", field + submit).status == 200);
        const auto session = log_in(web, "viewer-token");
        CHECK(web.get("/api/v1/nodes", field + session.cookie).status == 200);
    }
    // It speaks for others in the same connection, or not.
    const auto client = web.connect();
    CHECK(web.ask(*client, "/api/v1/nodes", "X-Forwarded-For: 1.2.3.4\r\n").status == 401);
    CHECK(web.ask(*client, "/api/v1/nodes").status == 200);
}

TEST_CASE("bodies that are refused", "[web]") {
    Fixture web;
    const auto send = [&](const std::string& fields) {
        return web.send("POST /api/v1/jobs HTTP/1.1\r\nHost: localhost\r\n" + submit + fields +
                        "\r\n");
    };
    const std::string json_type = "Content-Type: application/json\r\n";
    CHECK(code_of(send(json_type)) == "length_required");
    CHECK(code_of(send(json_type + "Transfer-Encoding: chunked\r\n")) == "length_required");
    CHECK(code_of(send(json_type + "Content-Length: 0\r\n")) == "bad_request");
    CHECK(code_of(send(json_type + "Content-Length: 1048577\r\n")) == "too_large");
    CHECK(code_of(send("Content-Type: text/plain\r\nContent-Length: 2\r\n")) ==
          "unsupported_media_type");
    for (const char* kind : {"application/jsonx", "application/json-patch+json", "json"})
        CHECK(code_of(send("Content-Type: " + std::string(kind) + "\r\nContent-Length: 2\r\n")) ==
              "unsupported_media_type");
    CHECK(code_of(send("Content-Type: Application/JSON; charset=utf-8\r\nContent-Length: 2\r\n"
                       "\r\n[]")) == "bad_request");
    CHECK(code_of(web.send("POST /api/v1/jobs/1/hold HTTP/1.1\r\nHost: localhost\r\n" + submit +
                           "Content-Length: 2\r\n\r\n{}")) == "too_large");
}

TEST_CASE("queries that are refused", "[web]") {
    Fixture web;
    CHECK(code_of(web.get("/api/v1/nodes?wait=soon")) == "bad_request");
    CHECK(code_of(web.get("/api/v1/nodes?wait=-1")) == "bad_request");
    CHECK(code_of(web.get("/api/v1/nodes?x=%zz")) == "bad_request");
    CHECK(code_of(web.get("/api/v1/jobs?limit=0")) == "bad_request");
    CHECK(code_of(web.get("/api/v1/jobs?limit=1001")) == "bad_request");
    CHECK(code_of(web.get("/api/v1/jobs?state=odd")) == "bad_request");
    CHECK(code_of(web.get("/api/v1/jobs/1/tasks?tasks=x")) == "bad_request");
    CHECK(code_of(web.get("/api/v1/jobs/0")) == "not_found");
    CHECK(code_of(web.get("/api/v1/jobs/x")) == "not_found");
    CHECK(code_of(web.get("/api/v1/nodes/nobody")) == "not_found");
    CHECK(code_of(web.get("/api/v1/jobs")) == "unavailable");
    CHECK(web.get("/api/v1/nodes?unknown=1").status == 200);
}

TEST_CASE("what has changed since it was seen is not waited for", "[web]") {
    asio::io_context io;
    ClusterView view(io.get_executor());
    const auto seen = view.version_of(ClusterView::Part::jobs);
    bool woken = false;
    const auto wait = [&](std::uint64_t version) {
        woken = false;
        asio::co_spawn(io, wait_for_change(view, ClusterView::Part::jobs, version, 1h),
                       [&](std::exception_ptr) { woken = true; });
        io.restart();
        io.poll();
    };
    // As while the master is asked: between the look at the version and the wait.
    view.put_job(JobView());
    view.touch();
    wait(seen);
    CHECK(woken);
    wait(view.version_of(ClusterView::Part::jobs));
    CHECK_FALSE(woken);
    view.put_job(JobView());
    view.touch();
    io.poll();
    CHECK(woken);
}

TEST_CASE("an answer that waits for news", "[web]") {
    Fixture web;
    web.change_something();
    const HttpReply first = web.get("/api/v1/nodes");
    const auto etag = "If-None-Match: " + first.field("ETag") + "\r\n";
    CHECK(web.get("/api/v1/nodes", etag).status == 304);
    CHECK(web.get("/api/v1/nodes?wait=50ms", etag).status == 304);
    const auto client = web.connect();
    client->send("GET /api/v1/nodes?wait=30s HTTP/1.1\r\nHost: localhost\r\n" + etag + "\r\n");
    CHECK_FALSE(web.until(
        [&] {
            client->pump();
            return !client->received.empty();
        },
        200ms));
    web.change_something();
    const HttpReply news = web.next_reply(*client);
    CHECK(news.status == 200);
    CHECK(news.field("ETag") != first.field("ETag"));
    // What is not about nodes wakes nobody who waits for them.
    const auto again = "If-None-Match: " + news.field("ETag") + "\r\n";
    web.view.touch_master();
    web.view.touch();
    CHECK(web.get("/api/v1/nodes", again).status == 304);
    CHECK(web.get("/api/v1/state", again).status == 200);
}
