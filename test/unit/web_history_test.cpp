#include <boost/asio/io_context.hpp>
#include <catch2/catch.hpp>

#include "common/limits.hpp"
#include "slave/web/view_json.hpp"
#include "slave/web/view_texts.hpp"
#include "slave/web/vitals_history.hpp"

using namespace rpic;
using namespace std::chrono_literals;

namespace {

NodeView board(const std::string& id, double seen = 0) {
    NodeView node;
    node.id = id;
    node.name = id;
    node.state = "online";
    node.role = "worker";
    node.ram_bytes = 4000;
    node.vitals.ram_available_bytes = 1000;
    node.vitals.cpu_percent = 12.34;
    node.running_tasks = 2;
    node.last_seen_seconds = seen;
    return node;
}

}  // namespace

TEST_CASE("a node's figures are kept, not more often than the interval says", "[web]") {
    VitalsHistory history;
    const Instant start = Clock::now();
    for (int second = 0; second < 20; ++second) history.note(board("a"), start + second * 1s);
    const auto& samples = history.entries().at("a").samples;
    REQUIRE(samples.size() == 5);
    CHECK(samples[1].heard - samples[0].heard == limits::web_history_interval);
    CHECK(samples[0].memory_percent == 75.0F);
    CHECK(samples[0].tasks == 2);
    CHECK_FALSE(samples[0].temperature_c.has_value());

    // The same heartbeat told again, and a node that was never heard, are no news.
    auto silent = board("b");
    silent.last_seen_seconds.reset();
    history.note(silent, start);
    history.note(board("a", 5), start + 21s);
    CHECK(history.entries().size() == 1);
    CHECK(samples.size() == 5);
}

TEST_CASE("the time when a node was away begins when it was last heard", "[web]") {
    VitalsHistory history;
    const Instant start = Clock::now();
    history.note(board("a"), start);
    auto away = board("a", 16);
    away.state = "suspect";
    history.note(away, start + 16s);
    away.state = "lost";
    away.last_seen_seconds = 20;
    history.note(away, start + 20s);
    history.note(board("a"), start + 50s);
    const auto& gaps = history.entries().at("a").away;
    REQUIRE(gaps.size() == 1);
    CHECK(gaps[0].from == start);
    CHECK(gaps[0].to == start + 50s);

    for (int round = 0; round < 100; ++round) {
        away.last_seen_seconds = 0;
        history.note(away, start + 60s + round * 2s);
        history.note(board("a"), start + 61s + round * 2s);
    }
    CHECK(gaps.size() == limits::web_history_gaps);
}

TEST_CASE("the history of many nodes, and of a long time, is bounded", "[web]") {
    VitalsHistory history;
    const Instant start = Clock::now();
    const int nodes = 2000;
    for (int round = 0; round < 60; ++round)
        for (int node = 0; node < nodes; ++node)
            history.note(board(std::to_string(node)), start + round * 5s);
    std::size_t all = 0;
    for (const auto& [id, entry] : history.entries()) all += entry.samples.size();
    CHECK(all <= limits::web_history_samples);
    CHECK(history.entries().at("1999").samples.back().heard == start + 59 * 5s);

    history.forget("7");
    CHECK_FALSE(history.entries().contains("7"));
    history.drop_old(start + limits::web_history_time + 250s);
    CHECK(history.entries().at("1").samples.front().heard >= start + 250s);
    history.drop_old(start + 2 * limits::web_history_time);
    CHECK(history.entries().empty());
}

TEST_CASE("times from a master that lies do no harm", "[web]") {
    VitalsHistory history;
    for (const double seen : {-1e300, 1e300, -5.0}) {
        auto node = board("a", seen);
        node.state = "lost";
        node.running_tasks = INT64_MAX;
        history.note(node, Clock::now());
    }
    for (const auto& sample : history.entries().at("a").samples)
        CHECK(sample.tasks == static_cast<int>(limits::node_tasks));
}

TEST_CASE("the history as JSON has columns of equal length", "[web]") {
    boost::asio::io_context io;
    ClusterView view(io.get_executor());
    view.put_node(board("a"), view.started + 1s);
    auto away = board("a", 3);
    away.state = "suspect";
    view.put_node(away, view.started + 8s);
    const auto told = json::parse(history_json(view, view.started + 9s));
    CHECK(told.at("clock") == 9.0);
    const auto& node = told.at("nodes").at(0);
    CHECK(node.at("id") == "a");
    CHECK(json::serialize(node.at("heard")) == "[1E0,5E0]");
    CHECK(node.at("cpu_percent").at(1) == 12.3);
    CHECK(node.at("memory_percent").at(1) == 75.0);
    CHECK(node.at("temperature_c").at(1).is_null());
    CHECK(node.at("running_tasks").at(1) == 2);
    CHECK(node.at("away").at(0).at("from") == 5.0);
    CHECK(node.at("away").at(0).at("to").is_null());
    // It is the master that forgets nodes: a new link to it does not empty the charts.
    view.begin_anew();
    CHECK(view.history.entries().size() == 1);
    view.forget_node("a");
    CHECK(view.history.entries().empty());
}

TEST_CASE("what many ask for is made once", "[web]") {
    boost::asio::io_context io;
    ClusterView view(io.get_executor());
    ViewTexts texts(view);
    const Instant now = Clock::now();
    view.put_node(board("a"), now);
    const auto first = texts.nodes(now);
    CHECK(texts.nodes(now + 100ms) == first);
    CHECK(*first == nodes_json(view, now));
    // Ages go on, although nothing has changed.
    CHECK(texts.nodes(now + limits::web_event_interval) != first);
    const auto second = texts.nodes(now + 1s);
    view.put_node(board("b"), now + 1s);
    CHECK(texts.nodes(now + 1s) != second);
    CHECK(texts.nodes(now + 1s)->find("\"b\"") != std::string::npos);

    const auto state = texts.state("x-1", now + 1s);
    CHECK(texts.state("x-1", now + 1s) == state);
    CHECK(texts.state("x-2", now + 1s) != state);
    view.touch();
    CHECK(texts.state("x-2", now + 1s)->find("\"x-2\"") != std::string::npos);
    CHECK(texts.history(now + 2s) == texts.history(now + 2s + limits::web_history_kept / 2));
}
