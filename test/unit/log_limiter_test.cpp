#include <catch2/catch.hpp>
#include <string>

#include "common/limits.hpp"
#include "common/log.hpp"

using namespace rpic;
using namespace std::chrono_literals;

namespace {

const Instant began{5s};

/// "written (n)" or "left out", to compare at a glance.
std::string verdict(PeerLogLimiter& limiter, std::string_view message_class,
                    std::string_view address, Instant now) {
    const auto decided = limiter.decide(message_class, address, now);
    if (!decided.write) return "left out";
    return "written (" + std::to_string(decided.left_out) + ")";
}

std::string address(int number) {
    return "10." + std::to_string(number >> 16) + "." + std::to_string(number >> 8 & 255) + "." +
           std::to_string(number & 255);
}

}  // namespace

TEST_CASE("one line at once, then one a minute that says how many were left out") {
    PeerLogLimiter limiter;
    CHECK(verdict(limiter, "noise", "10.0.0.1:1", began) == "written (0)");
    for (int i = 0; i < 1000; ++i)
        CHECK(verdict(limiter, "noise", "10.0.0.1:" + std::to_string(i + 2), began + i * 59ms) ==
              "left out");
    CHECK(verdict(limiter, "noise", "10.0.0.1:1", began + 60s - 1ns) == "left out");
    CHECK(verdict(limiter, "noise", "10.0.0.1:1", began + 60s) == "written (1001)");
    CHECK(verdict(limiter, "noise", "10.0.0.1:1", began + 61s) == "left out");
    CHECK(verdict(limiter, "noise", "10.0.0.1:1", began + 120s) == "written (1)");
    CHECK(verdict(limiter, "noise", "10.0.0.1:1", began + 1h) == "written (0)");
}

TEST_CASE("classes and addresses are counted apart, ports are not") {
    PeerLogLimiter limiter;
    CHECK(verdict(limiter, "noise", "10.0.0.1:1", began) == "written (0)");
    CHECK(verdict(limiter, "key", "10.0.0.1:1", began) == "written (0)");
    CHECK(verdict(limiter, "noise", "10.0.0.2:1", began) == "written (0)");
    CHECK(verdict(limiter, "noise", "10.0.0.1:2", began) == "left out");
    CHECK(verdict(limiter, "noise", "10.0.0.1", began) == "left out");
    CHECK(verdict(limiter, "noise", "[fe80::1]:1", began) == "written (0)");
    CHECK(verdict(limiter, "noise", "[fe80::1]:2", began) == "left out");
    CHECK(verdict(limiter, "noise", "fe80::1", began) == "left out");
    CHECK(verdict(limiter, "noise", "", began) == "written (0)");
    CHECK(verdict(limiter, "noise", "", began) == "left out");
}

TEST_CASE("the first lines are written when the clock is at zero too") {
    PeerLogLimiter limiter;
    CHECK(verdict(limiter, "noise", "10.0.0.1", Instant{}) == "written (0)");
    CHECK(verdict(limiter, "noise", "10.0.0.1", Instant{} + 1s) == "left out");
}

TEST_CASE("a hundred thousand addresses write a bounded number of lines") {
    PeerLogLimiter limiter;
    constexpr int addresses = 100'000;
    const auto lines = [&](Instant now) {
        std::uint64_t written = 0;
        std::uint64_t left_out = 0;
        for (int i = 0; i < addresses; ++i) {
            const auto decided = limiter.decide("noise", address(i), now + i * 1us);
            written += decided.write ? 1 : 0;
            left_out += decided.left_out;
        }
        return std::pair(written, left_out);
    };
    // Those with an entry of their own, and one line for all the others together.
    const std::uint64_t bound = limits::peer_log_entries + 1;
    CHECK(lines(began) == std::pair<std::uint64_t, std::uint64_t>(bound, 0));
    CHECK(lines(began + 30s) == std::pair<std::uint64_t, std::uint64_t>(0, 0));
    // What was left out is told by the next lines: of the first round all but `bound`, the whole
    // second round, and of the third what came before each line.
    const auto [written, left_out] = lines(began + 61s);
    CHECK(written == bound);
    CHECK(left_out == addresses - bound + addresses);
}

TEST_CASE("the shared entry is one a class") {
    PeerLogLimiter limiter;
    for (std::size_t i = 0; i < limits::peer_log_entries; ++i)
        limiter.decide("noise", address(static_cast<int>(i)), began);
    CHECK(verdict(limiter, "noise", "192.168.0.1", began) == "written (0)");
    CHECK(verdict(limiter, "noise", "192.168.0.2", began) == "left out");
    CHECK(verdict(limiter, "key", "192.168.0.1", began) == "written (0)");
    CHECK(verdict(limiter, "key", "192.168.0.2", began) == "left out");
    CHECK(verdict(limiter, "noise", "192.168.0.3", began + 60s) == "written (1)");
    // A known address keeps its own.
    CHECK(verdict(limiter, "noise", address(0), began + 60s) == "written (0)");
}

TEST_CASE("addresses that were quiet for two minutes make room") {
    PeerLogLimiter limiter;
    for (std::size_t i = 0; i < limits::peer_log_entries; ++i)
        limiter.decide("noise", address(static_cast<int>(i)), began);
    CHECK(verdict(limiter, "noise", "192.168.0.1", began) == "written (0)");
    CHECK(verdict(limiter, "noise", "192.168.0.2", began) == "left out");
    const auto later = began + 2min;
    CHECK(verdict(limiter, "noise", "192.168.0.2", later) == "written (0)");
    CHECK(verdict(limiter, "noise", "192.168.0.3", later) == "written (0)");
    CHECK(verdict(limiter, "noise", "192.168.0.3", later) == "left out");
}
