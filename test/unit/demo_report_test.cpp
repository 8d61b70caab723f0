#include "cli/demo_report.hpp"

#include <catch2/catch.hpp>

using namespace rpic;

namespace {

TaskView task(std::int64_t index, const char* state, const char* node, double seconds) {
    TaskView view;
    view.index = index;
    view.state = state;
    view.node = node;
    view.duration_seconds = seconds;
    return view;
}

NodeView node(const char* name, const char* arch) {
    NodeView view;
    view.name = name;
    view.arch = arch;
    view.role = "worker";
    view.state = "online";
    return view;
}

}  // namespace

TEST_CASE("demo: who did what", "[demo]") {
    const auto shares = demo_shares({task(0, "done", "pi10", 1.5), task(1, "done", "pi9", 1),
                                     task(2, "failed", "pi9", 7), task(3, "done", "pi10", 2)});
    REQUIRE(shares.size() == 2);
    CHECK(shares[0].node == "pi9");
    CHECK(shares[0].tiles == 1);
    CHECK(shares[0].seconds == 1);
    CHECK(shares[0].one_tile == 1);
    CHECK(shares[1].node == "pi10");
    CHECK(shares[1].tiles == 2);
    CHECK(shares[1].seconds == 3.5);
    CHECK(shares[1].one_tile == 3);
}

TEST_CASE("demo: only nodes that can run a program take part", "[demo]") {
    std::vector<NodeView> nodes = {node("pc", "amd64"), node("pi1", "arm64"), node("pi2", "arm64"),
                                   node("zero1", "armel"), node("zero2", "armel")};
    for (int i = 0; i < 6; ++i) nodes.push_back(node("other", "i386"));
    nodes[5].state = "suspect";
    nodes[6].role = "webserver";
    nodes[7].plain = true;
    nodes[8].draining = true;
    nodes[9].quarantined = true;
    nodes[10].state = "lost";
    const auto chosen = demo_nodes(nodes, {{"amd64", "/x"}, {"arm64", "/y"}, {"i386", "/z"}});
    CHECK(chosen.count == 3);
    CHECK(chosen.architectures == std::vector<std::string>{"amd64", "arm64"});
    CHECK(chosen.left_out == "armel (zero[1,2])");
    CHECK(demo_where(chosen.architectures) == "arch==amd64 || arch==arm64");
    CHECK(demo_nodes({}, {}).count == 0);
}
