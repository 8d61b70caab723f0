#include <boost/asio/io_context.hpp>
#include <boost/json.hpp>
#include <catch2/catch.hpp>
#include <map>

#include "common/limits.hpp"
#include "slave/influx_writer.hpp"
#include "slave/web/assets.hpp"
#include "slave/web/job_body.hpp"
#include "slave/web/log_text.hpp"
#include "slave/web/logins.hpp"
#include "slave/web/metrics_text.hpp"
#include "slave/web/problem.hpp"
#include "slave/web/router.hpp"
#include "slave/web/uri.hpp"
#include "slave/web/verdict.hpp"

using namespace rpic;
using namespace std::chrono_literals;

namespace {

json::object body_of(std::string_view text) {
    return json::parse(json::string_view(text.data(), text.size())).as_object();
}

NodeView node_of(const std::string& name, const std::string& state = "online") {
    NodeView node;
    node.id = "id-" + name;
    node.name = name;
    node.state = state;
    node.role = "worker";
    return node;
}

json::value resolve(const json::value& document, const json::value& value) {
    const auto* object = value.if_object();
    if (object == nullptr || !object->contains("$ref")) return value;
    const std::string path(object->at("$ref").as_string());
    return document.at_pointer(path.substr(1));
}

const json::value& open_api() {
    static const auto document =
        json::parse(json::string_view(find_asset("/api/openapi.json")->plain));
    return document;
}

/// METHOD PATH -> role and kind of body.
std::map<std::string, std::string> documented() {
    std::map<std::string, std::string> found;
    for (const auto& path : open_api().at("paths").as_object())
        for (const auto& operation : path.value().as_object()) {
            std::string method(operation.key());
            for (char& c : method) c = static_cast<char>(std::toupper(c));
            const auto& told = operation.value().as_object();
            std::string text(told.at("x-role").as_string());
            text += " body=";
            if (const auto* body = told.if_contains("requestBody")) {
                const auto& content = body->at("content").as_object();
                const bool json_kind = content.contains("application/json");
                text += json_kind ? "json" : "bytes";
                if (!body->at("required").as_bool()) text += "?";
            }
            found[method + ' ' + std::string(path.key())] = text;
        }
    return found;
}

std::map<std::string, std::string> routed() {
    std::map<std::string, std::string> found;
    const char* kinds[] = {"", "json?", "json", "bytes"};
    for (const auto& route : routes()) {
        found[std::string(route.method) + ' ' + route.path] =
            std::string(route.role) + " body=" + kinds[static_cast<int>(route.body)];
    }
    return found;
}

}  // namespace

TEST_CASE("the router and openapi.json say the same", "[web]") {
    CHECK(routed() == documented());
}

TEST_CASE("every operation tells the problems that all like it can have", "[web]") {
    for (const auto& path : open_api().at("paths").as_object())
        for (const auto& operation : path.value().as_object()) {
            CAPTURE(std::string(path.key()), std::string(operation.key()));
            const auto& told = operation.value().as_object();
            const auto& responses = told.at("responses").as_object();
            const std::string role(told.at("x-role").as_string());
            if (role != "none") CHECK(responses.contains("401"));
            if (role == "submit" || role == "admin") CHECK(responses.contains("403"));
            if (path.key().find("{") != json::string_view::npos &&
                path.key() != "/api/v1/files/{file}")
                CHECK(responses.contains("404"));
            if (told.contains("requestBody")) CHECK(responses.contains("411"));
            for (const auto& response : responses) resolve(open_api(), response.value());
        }
}

TEST_CASE("paths are routed by their parts", "[web]") {
    CHECK(find_route("GET", "/api/v1/jobs/12").parameters.at("job") == "12");
    CHECK(find_route("HEAD", "/api/v1/jobs/12").route != nullptr);
    CHECK(find_route("GET", "/api/v1/nodes/pi%201").parameters.at("node") == "pi 1");
    const auto file = find_route("GET", "/api/v1/jobs/1/tasks/2/files/a/b%2Fc/d");
    REQUIRE(file.route != nullptr);
    CHECK(file.parameters.at("path") == "a/b/c/d");
    CHECK(find_route("GET", "/api/v1/jobs/1/tasks/2/files").route != nullptr);
    CHECK(find_route("GET", "/api/v1/jobs/1/tasks/2/files/").allow.empty());
    CHECK(find_route("GET", "/api/v1/jobs/").allow.empty());
    CHECK(find_route("GET", "/api/v1/jobs//tasks").allow.empty());
    CHECK(find_route("GET", "/api/v1").allow.empty());
    const auto wrong = find_route("DELETE", "/api/v1/jobs");
    CHECK(wrong.route == nullptr);
    CHECK(wrong.allow == "GET, HEAD, POST");
    CHECK_THROWS_AS(find_route("GET", "/api/v1/jobs/%zz"), ProblemError);
    CHECK_THROWS_AS(find_route("GET", "/api/v1/nodes/%00"), ProblemError);
    CHECK_THROWS_AS(find_route("GET", "/api/v1/nodes/%ff"), ProblemError);
}

TEST_CASE("roles of routes", "[web]") {
    CHECK(web_role_allows("", "none"));
    CHECK_FALSE(web_role_allows("", "viewer"));
    CHECK_FALSE(web_role_allows("web", "viewer"));
    CHECK(web_role_allows("submit", "viewer"));
    CHECK_FALSE(web_role_allows("submit", "admin"));
    CHECK(web_role_allows("admin", "submit"));
}

TEST_CASE("percent-encoding and queries", "[web]") {
    CHECK(percent_decoded("a%2Fb%c3%a4") == std::optional<std::string>("a/b\xc3\xa4"));
    for (const char* broken : {"%", "%2", "%2g", "a%00", "%ff", "\xff"})
        CHECK_FALSE(percent_decoded(broken).has_value());
    CHECK(percent_encoded("a b/\xc3\xa4~", true) == "a%20b/%C3%A4~");
    CHECK(percent_encoded("a/b", false) == "a%2Fb");
    const auto query = parse_query("a=1&b=%20x+y&&c&a=2");
    REQUIRE(query.has_value());
    CHECK(*query == Query{{"a", "2"}, {"b", " x y"}, {"c", ""}});
    CHECK_FALSE(parse_query("a=%").has_value());
    CHECK(parse_query("")->empty());
}

TEST_CASE("sessions end, and never become too many", "[web]") {
    Logins logins;
    const Instant start = Clock::now();
    const auto first = logins.begin("token", start);
    REQUIRE(logins.find(first, start) != nullptr);
    CHECK(logins.find(first, start)->token == "token");
    CHECK(logins.find("", start) == nullptr);
    CHECK(logins.find(first + "x", start) == nullptr);
    CHECK(logins.find(first, start + limits::web_login_time - 1s) != nullptr);
    // Its last use counts.
    CHECK(logins.find(first, start + 2 * limits::web_login_time - 2s) != nullptr);
    CHECK(logins.find(first, start + 3 * limits::web_login_time) == nullptr);

    const auto oldest = logins.begin("token", start);
    for (std::size_t i = 0; i < limits::web_logins; ++i) logins.begin("token", start + 1s);
    CHECK(logins.size() == limits::web_logins);
    CHECK(logins.find(oldest, start + 1s) == nullptr);
    const auto last = logins.begin("token", start + 2s);
    logins.end(last);
    CHECK(logins.find(last, start + 2s) == nullptr);
}

TEST_CASE("cookies and secrets", "[web]") {
    CHECK(cookie_in("a=1; rpicluster_session=abc; b=2", "rpicluster_session") == "abc");
    CHECK(cookie_in("xrpicluster_session=abc", "rpicluster_session").empty());
    CHECK(cookie_in("", "rpicluster_session").empty());
    CHECK(equal_secrets("abc", "abc"));
    CHECK_FALSE(equal_secrets("abc", "abd"));
    CHECK_FALSE(equal_secrets("abc", "ab"));
    CHECK_FALSE(equal_secrets("", ""));
}

TEST_CASE("a job as JSON becomes its description", "[web]") {
    const auto job = read_job(body_of(R"({"command":["echo","{}"],"name":"x","items":["a","b c"],
        "limit":2,"cpus":0.5,"mem":"512M","resource":{"gpu":1},"where":"arch==arm64","priority":3,
        "time_limit":"10m","retries":2,"max_fails":0,"after":["ok:1"],"out":["*.png"],
        "env":{"A":"b"},"cwd":"/","on_disconnect":"stop","lost_after":90,"notify":"true",
        "hold":true,"idempotency_key":"k",
        "in":[{"path":"d/a","file":"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
               "size":3,"mode":493}]})"));
    const auto& spec = job.spec;
    CHECK(spec.command == std::vector<std::string>{"echo", "{}"});
    CHECK_FALSE(spec.shell);
    CHECK(job.items == std::string("a\0b c\0", 6));
    CHECK(spec.item_limit == 2);
    CHECK(spec.cpus == 0.5);
    CHECK(spec.memory_bytes == 512 << 20);
    CHECK(spec.resources.at("gpu") == 1);
    CHECK(spec.time_limit_seconds == 600);
    CHECK(spec.max_fails == 0);
    CHECK(spec.lost_after_seconds == 90);
    CHECK(spec.on_disconnect == "stop");
    CHECK(spec.held);
    CHECK(spec.idempotency_key == "k");
    REQUIRE(job.in.entries.size() == 1);
    CHECK(job.in.entries[0].mode == 0755);

    // An empty word is a word, if it is not the program.
    CHECK(read_job(body_of(R"({"command":["test","-z",""]})")).spec.command.size() == 3);

    const auto line = read_job(body_of(R"({"command":"a | b"})"));
    CHECK(line.spec.command == std::vector<std::string>{"/bin/sh", "-c", "a | b"});
    CHECK(line.spec.shell);
    CHECK(line.spec.cpus == 1);
    CHECK(line.spec.on_disconnect == "keep");
}

TEST_CASE("what is wrong with a job is said", "[web]") {
    const std::pair<const char*, const char*> cases[] = {
        {R"({})", "command"},
        {R"({"command":[]})", "empty"},
        {R"({"command":""})", "empty"},
        {R"({"command":["","a"]})", "empty"},
        {R"({"command":[1]})", "string"},
        {R"({"command":["a"],"prioritiy":1})", "did you mean priority?"},
        {R"({"command":["a"],"cpus":"many"})", "cpus"},
        {R"({"command":["a"],"mem":"lots"})", "512M"},
        {R"({"command":["a"],"time_limit":-1})", "duration"},
        {R"({"command":["a"],"time_limit":"soon"})", "duration"},
        {R"({"command":["a"],"items":[]})", "empty"},
        {R"({"command":["a"],"items":["a\u0000b"]})", "NUL"},
        {R"({"command":["a"],"out":["../x"]})", "out"},
        {R"({"command":["a"],"in":"x"})", "list of files"},
        {R"({"command":["a"],"in":[{"path":"../x","file":"","size":1}]})", "../x"},
        {R"({"command":["a"],"in":[{"path":"x","file":"short","size":1}]})", "SHA-256"},
        {R"({"command":["a"],"in_arch":[]})", "in_arch"},
        {R"({"command":["a"],"retries":1.5})", "retries"},
    };
    for (const auto& [text, expected] : cases) {
        CAPTURE(text);
        try {
            read_job(body_of(text));
            FAIL("it was taken");
        } catch (const ProblemError& error) {
            CHECK(error.status == 400);
            CHECK_THAT(error.what(), Catch::Contains(expected));
        }
    }
}

TEST_CASE("output becomes UTF-8, wherever it was cut", "[web]") {
    LogText text;
    CHECK(text.feed(OutputStream::out, "a\xc3") == "a");
    CHECK(text.feed(OutputStream::err, "b") == "b");
    CHECK(text.feed(OutputStream::out, "\xa4z") == "\xc3\xa4z");
    CHECK(text.feed(OutputStream::out, "\xff.") == "\xEF\xBF\xBD.");
    CHECK(text.feed(OutputStream::out, "\xe2\x82") == "");
    text.reset();
    CHECK(text.feed(OutputStream::out, "x") == "x");
}

TEST_CASE("reading goes on wherever it was left", "[web]") {
    std::string records;
    append_output(records, OutputStream::out, "hello");
    append_output(records, OutputStream::err, "oh");
    append_output(records, OutputStream::out, "end");
    Output answer;
    answer.attempt = 2;
    for (std::size_t cut = 1; cut < records.size(); ++cut) {
        CAPTURE(cut);
        std::string seen;
        const auto sink = [&](OutputStream stream, std::string_view bytes) {
            for (const char c : bytes) seen += stream == OutputStream::err ? '2' : c;
        };
        TaskOutput first(7, 3);
        answer.offset = 0;
        first.take(answer, std::string_view(records).substr(0, cut), sink);
        const auto place = place_in(event_id(first.place())).value_or(ReadingPlace());
        TaskOutput second(7, 3);
        second.resume(place);
        answer.offset = second.request(true).offset;
        CHECK(answer.offset <= static_cast<std::int64_t>(cut));
        second.take(answer,
                    std::string_view(records).substr(static_cast<std::size_t>(answer.offset)),
                    sink);
        CHECK(seen == "hello22end");
    }
}

TEST_CASE("what is no place in a log", "[web]") {
    CHECK(event_id(ReadingPlace()).empty());
    for (const char* bad : {"", "1", "x", "1-", "0-5", "1-0", "1-2-3", "1-2-4-5", "1-2-0-5",
                            "1-2-1-0", "1-2-1-99999999999", "1-2-1-5-6", "1-2x"}) {
        CAPTURE(bad);
        CHECK_FALSE(place_in(bad));
    }
}

TEST_CASE("the verdict is one line about what matters most", "[web]") {
    boost::asio::io_context io;
    ClusterView view(io.get_executor());
    CHECK(verdict_of(view).tone == "waiting");
    view.updated = Clock::now();
    CHECK(verdict_of(view).tone == "bad");
    view.connected = true;
    CHECK(verdict_of(view) == PageVerdict{"waiting", "No nodes yet."});
    view.put_node(node_of("pi10"), Clock::now());
    view.put_node(node_of("pi9"), Clock::now());
    JobView job;
    job.id = "1";
    job.state = "running";
    job.tasks = {{"running", 1}, {"queued", 5}};
    view.put_job(job);
    CHECK(verdict_of(view).text == "All well: 2 nodes online, 1 task running, 5 waiting.");
    auto hot = node_of("pi9");
    hot.unwell = {"hot: 85 C"};
    view.put_node(hot, Clock::now());
    CHECK(verdict_of(view).tone == "warning");
    CHECK_THAT(verdict_of(view).text, Catch::Contains("pi9 is unwell: hot: 85 C"));
    view.put_node(node_of("pi10", "lost"), Clock::now());
    view.put_node(node_of("pi9", "lost"), Clock::now());
    CHECK(verdict_of(view).tone == "bad");
    CHECK_THAT(verdict_of(view).text, Catch::StartsWith("pi9, pi10 are lost"));
}

TEST_CASE("changes of the view are bounded while nobody takes note", "[web]") {
    boost::asio::io_context io;
    ClusterView view(io.get_executor());
    for (std::int64_t i = 1; i <= 5000; ++i) {
        RunView run;
        run.job = std::to_string(i);
        run.state = i == 1 ? "running" : "done";
        run.started_seconds_ago = static_cast<double>(5000 - i) / 100;
        if (i > 1) run.duration_seconds = 0.001;
        view.put_run(run, Clock::now());
        JobView job;
        job.id = run.job;
        view.put_job(job);
        EventView event;
        event.id = i;
        view.put_event(event);
    }
    CHECK(view.runs.size() <= limits::shown_runs + limits::runs_per_tell);
    CHECK(view.jobs.size() == limits::shown_jobs);
    CHECK(view.jobs.begin()->first == 4801);
    CHECK(view.events.size() == limits::shown_events);
    CHECK(view.take_changes().everything);
    CHECK_FALSE(view.take_changes().everything);
    view.drop_old_runs(Clock::now() + limits::shown_run_time + 1min);
    REQUIRE(view.runs.size() == 1);
    CHECK(view.runs.begin()->second.state == "running");
}

TEST_CASE("metrics in the format of Prometheus", "[web]") {
    boost::asio::io_context io;
    ClusterView view(io.get_executor());
    auto node = node_of("a\"b\\c");
    node.vitals.cpu_percent = 50;
    node.vitals.undervoltage = true;
    node.vitals.pressure_io = 100.0 / 3;
    node.vitals.disk_free_bytes = 1'234'567'890'123;
    node.vitals.network_mbps = 100;
    node.vitals.cpu_mhz_limit = 600;
    node.unwell = {"hot", "weak"};
    node.last_seen_seconds = 1.5;
    const auto now = Clock::now();
    view.put_node(node, now);
    MetricsChanged metrics;
    metrics.tasks["done"] = 3;
    metrics.status.counters["late_results"] = 2;
    metrics.task_seconds.add(0.02);
    metrics.task_seconds.add(99999);
    view.metrics = metrics;
    const auto text = metrics_text(view, 2, now + 1s);
    for (const char* line :
         {"rpicluster_master_up 0\n", "rpicluster_nodes{state=\"online\"} 1\n",
          "rpicluster_nodes{state=\"lost\"} 0\n",
          "rpicluster_node_cpu_ratio{node=\"a\\\"b\\\\c\"} 0.5\n",
          "rpicluster_node_undervoltage{node=\"a\\\"b\\\\c\"} 1\n",
          "rpicluster_node_io_pressure_ratio{node=\"a\\\"b\\\\c\"} 0.3333333333333333",
          "rpicluster_node_disk_free_bytes{node=\"a\\\"b\\\\c\"} 1234567890123\n",
          "rpicluster_node_network_speed_bytes{node=\"a\\\"b\\\\c\"} 12500000\n",
          "rpicluster_node_cpu_frequency_limit_hertz{node=\"a\\\"b\\\\c\"} 600000000\n",
          "rpicluster_node_unwell{node=\"a\\\"b\\\\c\"} 2\n",
          "rpicluster_node_heartbeat_age_seconds{node=\"a\\\"b\\\\c\"} 2.5\n",
          "rpicluster_tasks{state=\"done\"} 3\n", "rpicluster_late_results_total 2\n",
          "rpicluster_task_duration_seconds_bucket{le=\"0.01\"} 0\n",
          "rpicluster_task_duration_seconds_bucket{le=\"0.03\"} 1\n",
          "rpicluster_task_duration_seconds_bucket{le=\"10000\"} 1\n",
          "rpicluster_task_duration_seconds_bucket{le=\"+Inf\"} 2\n",
          "rpicluster_task_duration_seconds_count 2\n", "rpicluster_web_viewers 2\n"}) {
        CAPTURE(line, text);
        CHECK(text.find(line) != std::string::npos);
    }
    // What a node does not measure is not there.
    for (const auto* name : {"rpicluster_node_temperature_celsius{", "rpicluster_node_disk_bytes{"})
        CHECK(text.find(name) == std::string::npos);
}

TEST_CASE("measurements in the line protocol of InfluxDB", "[web]") {
    boost::asio::io_context io;
    ClusterView view(io.get_executor());
    auto node = node_of("pi 1,a=b");
    node.ram_bytes = 1000;
    node.vitals.cpu_percent = 12.5;
    node.vitals.temperature_c = 48;
    node.vitals.ram_available_bytes = 400;
    node.vitals.swap_bytes = 10;
    node.vitals.swap_used_bytes = 3;
    view.put_node(node, Clock::now());
    view.put_node(node_of("gone", "lost"), Clock::now());
    CHECK(influx_lines(view, 0) ==
          "cpu,node=pi\\ 1\\,a\\=b percent=12.5,temperature_c=48\n"
          "ram,node=pi\\ 1\\,a\\=b total_bytes=1000i,used_bytes=600i\n"
          "swap,node=pi\\ 1\\,a\\=b total_bytes=10i,used_bytes=3i\n");
    CHECK(influx_lines(view, 1'800'000'000).find("used_bytes=600i 1800000000000000000\n") !=
          std::string::npos);
}

TEST_CASE("where InfluxDB is", "[web]") {
    const auto target = parse_influx_url("http://db:9999/write?db=x");
    REQUIRE(target.has_value());
    CHECK(target->host.host == "db");
    CHECK(target->host.port == 9999);
    CHECK(target->target == "/write?db=x");
    CHECK(parse_influx_url("http://db/write")->host.port == 8086);
    for (const char* wrong : {"", "db", "https://db/write", "http://", "http:///write", "http://db",
                              "http://db/wr ite", "http://db/a\r\nX: y"}) {
        CAPTURE(wrong);
        CHECK_FALSE(parse_influx_url(wrong).has_value());
    }
}
