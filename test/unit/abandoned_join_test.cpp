#include <catch2/catch.hpp>

#include "master/core/cluster.hpp"

using namespace rpic;
using namespace std::chrono_literals;

TEST_CASE("a join whose key never arrived gives its name back") {
    Cluster cluster({15s, 20s, 90s}, Instant{});
    Hello hello;
    hello.role = "worker";
    hello.name = "alpha";
    hello.fingerprint = "board";
    Effects effects;

    // The welcome is on its way when the link breaks.
    cluster.on_hello(Instant{1s}, 1, "", hello, "127.0.0.1:1000",
                     {"id-of-the-first-join-attempt", "key-1"}, effects);
    cluster.on_disconnected(Instant{2s}, 1, "closed by the peer", effects);
    const auto before = cluster.version();
    effects.clear();
    const auto outcome = cluster.on_hello(Instant{3s}, 2, "", hello, "127.0.0.1:1001",
                                          {"id-of-the-second-join-attempt", "key-2"}, effects);

    const auto& joined = std::get<Cluster::Joined>(outcome);
    CHECK(joined.name == "alpha");
    CHECK(joined.node_id == "id-of-the-second-join-attempt");
    CHECK(cluster.nodes().size() == 1);
    const auto& forgotten = std::get<ForgetNode>(effects.at(0));
    CHECK(forgotten.id == "id-of-the-first-join-attempt");
    CHECK(forgotten.key_identity == "key-1");
    CHECK(cluster.gone_since(before) == std::vector<std::string>{"id-of-the-first-join-attempt"});
}
