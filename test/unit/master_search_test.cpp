#include "slave/core/master_search.hpp"

#include <catch2/catch.hpp>

#include "common/limits.hpp"

using namespace rpic;
using namespace std::chrono_literals;
using How = MasterSearch::Failure;

namespace {

const HostPort last_place{"10.0.0.1", 12345};
const HostPort moved_place{"10.0.0.9", 12345};
const std::vector<HostPort> usual_places = {{"rpicluster", 12345}, {"rpicluster.local", 12345}};
const std::string cluster_a(32, 'a');
const std::string cluster_b(32, 'b');

/// A search, what it does next in words, and the time.
struct Seeker {
    explicit Seeker(std::optional<HostPort> known) : search(std::move(known), usual_places) {}

    std::string next() {
        const auto step = search.next(now);
        if (step.kind == MasterSearch::Step::Kind::ask) return "ask";
        if (step.kind == MasterSearch::Step::Kind::wait) return "wait";
        current = step.master;
        return step.master.host;
    }

    void failed(How how = How::unreachable) { search.failed(now, current, "no", how); }

    /// Steps up to the question, all of which fail.
    void until_ask() {
        while (next() != "ask") failed();
    }

    /// A whole round in which nobody is reached, in words.
    std::string round() {
        std::string steps;
        for (;;) {
            const auto step = next();
            steps += (steps.empty() ? "" : " ") + step;
            if (step == "wait") return steps;
            if (step == "ask")
                search.heard({});
            else
                failed();
        }
    }

    Instant now{1h};
    MasterSearch search;
    HostPort current;
};

}  // namespace

TEST_CASE("a slave that knows nothing tries the usual names and then asks") {
    Seeker seeker(std::nullopt);
    CHECK(seeker.round() == "rpicluster rpicluster.local ask wait");
    CHECK(seeker.search.trouble() ==
          "no master is found under rpicluster or rpicluster.local, and none with this slave's key "
          "answers on the network; --master HOST[:PORT] names one");
    CHECK(seeker.round() == "rpicluster rpicluster.local ask wait");
}

TEST_CASE("who answers is tried, IPv4 first, and known from then on") {
    Seeker seeker(std::nullopt);
    seeker.until_ask();
    seeker.search.heard({{cluster_a, "1", {"fe80::1%eth0", 12345}}, {cluster_a, "1", moved_place}});
    CHECK(seeker.next() == "10.0.0.9");
    seeker.failed();
    CHECK(seeker.next() == "fe80::1%eth0");
    seeker.search.joined(seeker.current);
    seeker.failed();  // the link ends, much later
    CHECK(seeker.next() == "fe80::1%eth0");
}

TEST_CASE("the last master comes first, alone as long as the outage is young") {
    Seeker seeker(last_place);
    CHECK(seeker.round() == "10.0.0.1 wait");
    CHECK(seeker.search.trouble() == "10.0.0.1:12345: no");
    seeker.now += limits::discovery_patience - 1ns;
    CHECK(seeker.round() == "10.0.0.1 wait");
    seeker.now += 1ns;
    CHECK(seeker.round() == "10.0.0.1 rpicluster rpicluster.local ask wait");
    CHECK(seeker.search.trouble().find("10.0.0.1:12345: no; no other master is found under") == 0);
}

TEST_CASE("a master that has moved is found, and its new address is the known one") {
    Seeker seeker(last_place);
    seeker.round();
    seeker.now += limits::discovery_patience;
    seeker.until_ask();
    seeker.search.heard({{cluster_a, "1", moved_place}});
    CHECK(seeker.next() == "10.0.0.9");
    seeker.search.joined(moved_place);
    seeker.failed();
    // A new outage, and its patience.
    CHECK(seeker.round() == "10.0.0.9 wait");
}

TEST_CASE("a stranger at the last address does not hold up the search, and rests") {
    Seeker seeker(last_place);
    CHECK(seeker.next() == "10.0.0.1");
    seeker.failed(How::key_refused);
    CHECK(seeker.search.key_refused());
    CHECK(seeker.round() == "rpicluster rpicluster.local ask wait");
    CHECK_FALSE(seeker.search.key_refused());
    CHECK(seeker.round() == "rpicluster rpicluster.local ask wait");
    seeker.now += limits::refused_retry;
    CHECK(seeker.next() == "10.0.0.1");
}

TEST_CASE("a stranger with the usual name says nothing about this slave's key") {
    Seeker seeker(last_place);
    seeker.round();
    seeker.now += limits::discovery_patience;
    seeker.next();
    seeker.failed();
    CHECK(seeker.next() == "rpicluster");
    seeker.failed(How::key_refused);
    CHECK_FALSE(seeker.search.key_refused());
    CHECK(seeker.round() == "rpicluster.local ask wait");
    // To one that knows no other it does.
    Seeker newcomer(std::nullopt);
    newcomer.next();
    newcomer.failed(How::key_refused);
    CHECK(newcomer.search.key_refused());
    newcomer.search.forget_refusals();
    CHECK_FALSE(newcomer.search.key_refused());
    CHECK(newcomer.round() == "rpicluster.local ask wait");
    CHECK(newcomer.next() == "rpicluster");  // nobody rests
}

TEST_CASE("what the master itself refuses is not tried at its other addresses") {
    Seeker seeker(std::nullopt);
    seeker.until_ask();
    seeker.search.heard({{cluster_a, "1", moved_place}, {cluster_a, "1", {"fe80::1%eth0", 12345}}});
    CHECK(seeker.next() == "10.0.0.9");
    seeker.failed(How::refused);
    const auto step = seeker.search.next(seeker.now + 1s);
    CHECK(step.kind == MasterSearch::Step::Kind::wait);
    CHECK(step.rest == limits::refused_retry - 1s);
    CHECK(seeker.search.trouble().find("10.0.0.9:12345: no") == 0);
    seeker.now += limits::refused_retry;
    CHECK(seeker.next() == "rpicluster");
}

TEST_CASE("of two masters none is tried, and both are named") {
    Seeker seeker(std::nullopt);
    seeker.until_ask();
    SECTION("of two clusters") {
        seeker.search.heard({{cluster_a, "1", last_place}, {cluster_b, "2", moved_place}});
        CHECK(seeker.search.trouble() ==
              "2 masters answer, 10.0.0.1:12345 (cluster aaaaaaaa) and 10.0.0.9:12345 (cluster "
              "bbbbbbbb), and it is not for this slave to choose: stop those that should not run, "
              "or name the right one with --master");
    }
    SECTION("of one, such as a restored one beside the old one") {
        seeker.search.heard({{cluster_a, "2", moved_place}, {cluster_a, "1", last_place}});
        CHECK(seeker.search.trouble().find("2 masters answer") == 0);
    }
    CHECK(seeker.next() == "wait");
    // Once one of them is gone, the other is taken.
    seeker.until_ask();
    seeker.search.heard({{cluster_a, "1", last_place}});
    CHECK(seeker.next() == "10.0.0.1");
}

TEST_CASE("a master that is restarted while it is asked is one") {
    Seeker seeker(std::nullopt);
    seeker.until_ask();
    seeker.search.heard({{cluster_a, "1", last_place},
                         {cluster_a, "2", {"fe80::1%eth0", 12345}},
                         {cluster_a, "2", last_place}});
    CHECK(seeker.next() == "10.0.0.1");
    seeker.failed();
    CHECK(seeker.next() == "fe80::1%eth0");
    seeker.failed();
    CHECK(seeker.next() == "wait");
}

TEST_CASE("without a network the search goes on and says why it finds nothing") {
    Seeker seeker(std::nullopt);
    seeker.until_ask();
    seeker.search.could_not_ask("there is no network");
    seeker.search.heard({});
    CHECK(seeker.next() == "wait");
    CHECK(seeker.search.trouble() ==
          "no master is found under rpicluster or rpicluster.local, and the network cannot be "
          "asked: there is no network; --master HOST[:PORT] names one");
}
