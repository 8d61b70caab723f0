#include <catch2/catch.hpp>

#include "master/run_log.hpp"

using namespace rpic;
using namespace std::chrono_literals;

namespace {

AttemptReport report_of(const AttemptKey& key, const std::string& outcome, double seconds) {
    AttemptReport report;
    report.key = key;
    report.outcome = outcome;
    report.duration_seconds = seconds;
    return report;
}

struct LogWorld {
    RunLog log;
    Instant now = Clock::now();
    std::uint64_t seen = 0;

    /// What is told next: "TASK/ATTEMPT NODE STATE".
    std::vector<std::string> news() {
        log.collect(now);
        std::vector<RunLog::Run> runs;
        CHECK(log.after(seen, runs));
        std::vector<std::string> texts;
        for (const auto& run : runs)
            texts.push_back(std::to_string(run.key.task) + '/' + std::to_string(run.key.attempt) +
                            ' ' + run.node + ' ' + run.state);
        return texts;
    }
};

using Texts = std::vector<std::string>;

}  // namespace

TEST_CASE("an attempt is told when it runs and when it ends", "[viewers]") {
    LogWorld w;
    w.log.ordered(w.now, {1, 0, 1}, "pi1", false);
    CHECK(w.news() == Texts{"0/1 pi1 running"});
    CHECK(w.news().empty());
    w.log.ended(w.now + 5s, report_of({1, 0, 1}, "exited", 5), "pi1");
    CHECK(w.news() == Texts{"0/1 pi1 done"});
    // One that ends between two tellings is told once.
    w.log.ordered(w.now, {1, 1, 1}, "pi1", false);
    w.log.ended(w.now, report_of({1, 1, 1}, "signalled", 0.01), "pi1");
    CHECK(w.news() == Texts{"1/1 pi1 failed"});
}

TEST_CASE("an attempt that waits on its node is told once it runs", "[viewers]") {
    LogWorld w;
    w.log.ordered(w.now, {1, 0, 1}, "pi1", true);
    w.log.ordered(w.now, {1, 1, 1}, "pi1", true);
    CHECK(w.news().empty());
    w.log.started(w.now, {1, 0, 1}, "pi1");
    CHECK(w.news() == Texts{"0/1 pi1 running"});
    w.log.keep_only(w.now, 1, 1, {});  // given back
    CHECK(w.news().empty());
}

TEST_CASE("what runs on a node that is lost is lost", "[viewers]") {
    LogWorld w;
    w.log.ordered(w.now, {1, 0, 1}, "pi1", false);
    w.log.ordered(w.now, {1, 1, 1}, "pi2", false);
    CHECK(w.news().size() == 2);
    w.log.node_lost(w.now + 20s, "pi1");
    CHECK(w.news() == Texts{"0/1 pi1 lost"});
    // It comes back and still has it.
    w.log.started(w.now, {1, 0, 1}, "pi1");
    CHECK(w.news() == Texts{"0/1 pi1 running"});
    // Another attempt has won meanwhile.
    w.log.keep_only(w.now, 1, 0, {});
    CHECK(w.news() == Texts{"0/1 pi1 lost"});
    // A report about it comes too late; one of another node is a lie.
    w.log.ended(w.now, report_of({1, 0, 1}, "exited", 1), "pi1");
    w.log.ended(w.now, report_of({1, 1, 1}, "exited", 1), "pi1");
    CHECK(w.news().empty());
}

TEST_CASE("too many at once are left out and counted, but never an end that is awaited",
          "[viewers]") {
    LogWorld w;
    w.log.ordered(w.now, {1, 0, 1}, "pi1", false);
    CHECK(w.news().size() == 1);
    const auto many = static_cast<std::int64_t>(3 * limits::runs_per_tell);
    for (std::int64_t task = 1; task <= many; ++task) {
        w.log.ordered(w.now, {1, task, 1}, "pi1", false);
        w.log.ended(w.now, report_of({1, task, 1}, "exited", 0.001), "pi1");
    }
    w.log.ended(w.now, report_of({1, 0, 1}, "exited", 1), "pi1");
    const auto told = w.news();
    CHECK(told.size() == limits::runs_per_tell + 1);
    CHECK(told.back() == "0/1 pi1 done");
    CHECK(w.log.skipped() == many - static_cast<std::int64_t>(limits::runs_per_tell));
}

TEST_CASE("whoever has fallen behind gets everything", "[viewers]") {
    LogWorld w;
    w.log.ordered(w.now, {9, 0, 1}, "pi1", false);
    w.log.collect(w.now);
    for (std::int64_t task = 0; task < static_cast<std::int64_t>(2 * limits::shown_runs); ++task) {
        w.log.ordered(w.now, {1, task, 1}, "pi1", false);
        w.log.ended(w.now, report_of({1, task, 1}, "exited", 0.001), "pi1");
        if (task % 100 == 0) w.log.collect(w.now);
    }
    w.log.collect(w.now);
    std::vector<RunLog::Run> runs;
    CHECK_FALSE(w.log.after(w.seen, runs));
    runs = w.log.everything(w.seen);
    CHECK(runs.size() <= limits::shown_runs + 1);
    CHECK(runs.back().key.job == 9);
    CHECK(w.news().empty());
    // What ended long ago is not told any more, what runs is.
    w.now += limits::shown_run_time + 1min;
    w.log.collect(w.now);
    runs = w.log.everything(w.seen);
    REQUIRE(runs.size() == 1);
    CHECK(runs[0].state == "running");
}
