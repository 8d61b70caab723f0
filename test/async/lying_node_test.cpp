#include <memory>

#include "common/output.hpp"
#include "test/async/test_master.hpp"

using namespace rpic;
using namespace rpic::test;

/// Nodes that lie about attempts: what is not theirs is dropped and counted, whatever they say.
namespace {

/// What the master says next, apart from new orders.
asio::awaitable<ToNode> next(Connection& link) {
    for (;;) {
        auto message = co_await receive<ToNode>(link);
        if (!std::holds_alternative<StartTasks>(message)) co_return message;
    }
}

/// Joins as a worker and reads the welcome.
asio::awaitable<Connection> join_as(TestMaster& master, std::string name, std::int64_t cpus) {
    const TlsClient key(master.join_key());
    Connection link = co_await connect(master, key);
    auto hello = node_hello(name, "board:" + name);
    hello.cpus = cpus;
    link.send(hello);
    co_await receive<ToNode>(link);
    co_return link;
}

/// The verdicts about what it says that it has.
asio::awaitable<std::vector<Verdict>> resync(Connection& link, std::vector<AttemptState> states) {
    Resync message;
    message.attempts = std::move(states);
    link.send(message);
    const auto answer = co_await receive<ToNode>(link);
    co_return std::get<Resynced>(answer).verdicts;
}

AttemptReport report_of(AttemptKey key, std::int64_t code = 0) {
    AttemptReport report;
    report.key = key;
    report.outcome = "exited";
    report.exit_code = code;
    report.duration_seconds = 1;
    return report;
}

/// The reports together, and the one answer to them: all are acknowledged.
asio::awaitable<void> report(Connection& link, std::vector<AttemptReport> reports) {
    AttemptsEnded message;
    message.reports = std::move(reports);
    link.send(message);
    const auto answer = co_await next(link);
    CHECK(std::get<AckAttempts>(answer).attempts.size() == message.reports.size());
}

/// The master does not answer, so that what comes after the answer to a heartbeat is not about it.
asio::awaitable<void> settle(Connection& link) {
    link.send(Heartbeat{});
    const auto answer = co_await next(link);
    CHECK(std::holds_alternative<HeartbeatAck>(answer));
}

/// The master answers bad_message, and the connection lives.
asio::awaitable<void> expect_bad(Connection& link, std::string words) {
    const auto answer = co_await next(link);
    REQUIRE(std::holds_alternative<BadMessage>(answer));
    CHECK(std::get<BadMessage>(answer).reason.find(words) != std::string::npos);
}

/// A job of three tasks with the indices 1 to 3.
void submit_job(TestMaster& master) {
    auto spec = std::make_shared<JobSpec>();
    spec->command = {"true"};
    spec->array = "1-3";
    Effects effects;
    master.context.jobs.submit(master.context.moment(), spec, "ann", 0, effects);
    master.context.turns.add(std::move(effects));
}

constexpr AttemptKey first{1, 1, 1};
constexpr AttemptKey second{1, 2, 1};

/// An honest node, pi1, with the tasks 1 and 2 of job 1; pi2 has room for nothing.
struct LyingWorld {
    TestMaster master;
    const Jobs& jobs = master.context.jobs;

    std::int64_t count(TaskState state) const { return jobs.find(1)->count(state); }
    const JobCounters& counters() const { return jobs.counters(); }

    asio::awaitable<Connection> honest() {
        Connection link = co_await join_as(master, "pi1", 2);
        std::vector<AttemptState> nothing;
        co_await resync(link, nothing);
        submit_job(master);
        // What the job is comes first, its tasks after that.
        const auto introduction = co_await receive<ToNode>(link);
        CHECK(std::get<StartTasks>(introduction).spec.has_value());
        const auto orders = co_await receive<ToNode>(link);
        const auto& tasks = std::get<StartTasks>(orders).tasks;
        REQUIRE(tasks.size() >= 2);
        CHECK(tasks[0].task == 1);
        CHECK(tasks[1].task == 2);
        AttemptsStarted started;
        started.attempts = {first, second};
        link.send(started);
        co_await settle(link);
        co_return link;
    }
};

template <class Work>
void run(LyingWorld& world, Work work) {
    world.master.run(work(world));
}

}  // namespace

TEST_CASE("a node that reports what is another's changes nothing", "[jobs]") {
    LyingWorld world;
    run(world, [](LyingWorld& w) -> asio::awaitable<void> {
        Connection pi1 = co_await w.honest();
        Connection liar = co_await join_as(w.master, "pi2", 0);
        std::vector<AttemptState> nothing;
        co_await resync(liar, nothing);
        std::vector<AttemptReport> lies;
        lies.push_back(report_of(first));
        lies.push_back(report_of(second, 1));
        co_await report(liar, lies);
        CHECK(w.counters().unknown_attempts == 2);
        CHECK(w.count(TaskState::running) >= 2);

        AttemptsStarted started;
        started.attempts = {first};
        liar.send(started);
        AttemptsRetracted retracted;
        retracted.attempts = {first, second};
        liar.send(retracted);
        co_await settle(liar);
        CHECK(w.counters().unknown_attempts == 4);
        CHECK(w.counters().attempts_retracted == 0);
        CHECK(w.jobs.find(1)->active.at(0).live.size() == 1);

        std::vector<AttemptReport> truth;
        truth.push_back(report_of(first));
        truth.push_back(report_of(second));
        co_await report(pi1, truth);
        CHECK(w.count(TaskState::done) == 2);
        CHECK(w.counters().late_results == 0);
    });
}

TEST_CASE("reports of attempts that never were are acknowledged, dropped and counted", "[jobs]") {
    LyingWorld world;
    run(world, [](LyingWorld& w) -> asio::awaitable<void> {
        Connection pi1 = co_await w.honest();
        std::vector<AttemptReport> lies;
        for (const auto& key :
             {AttemptKey{1, 1, 2}, AttemptKey{1, 1, 0}, AttemptKey{1, 99, 1}, AttemptKey{1, 0, 1},
              AttemptKey{7, 1, 1}, AttemptKey{-1, -1, -1},
              AttemptKey{INT64_MAX, INT64_MAX, INT64_MAX}, AttemptKey{1, INT64_MIN, INT64_MIN}})
            lies.push_back(report_of(key));
        const auto count = static_cast<std::int64_t>(lies.size());
        co_await report(pi1, lies);
        CHECK(w.counters().unknown_attempts == count);
        CHECK(w.count(TaskState::done) == 0);
        CHECK(w.count(TaskState::running) >= 2);
    });
}

TEST_CASE("an attempt that finishes twice has its first result", "[jobs]") {
    LyingWorld world;
    run(world, [](LyingWorld& w) -> asio::awaitable<void> {
        Connection pi1 = co_await w.honest();
        std::vector<AttemptReport> reports;
        reports.push_back(report_of(first));
        reports.push_back(report_of(first, 1));
        co_await report(pi1, reports);
        reports.clear();
        reports.push_back(report_of(first, 2));
        co_await report(pi1, reports);
        CHECK(w.counters().unknown_attempts == 2);
        CHECK(w.count(TaskState::done) == 1);
        CHECK(w.count(TaskState::failed) == 0);
        const auto result = co_await w.master.context.store.task_result(1, 0);
        REQUIRE(result.has_value());
        CHECK(result->exit_code == 0);
        const auto all = co_await w.master.context.store.results(1, -1, 10);
        CHECK(all.size() == 1);
    });
}

TEST_CASE("nothing about attempts is taken before the resync", "[jobs]") {
    LyingWorld world;
    run(world, [](LyingWorld& w) -> asio::awaitable<void> {
        Connection pi1 = co_await w.honest();
        Connection liar = co_await join_as(w.master, "pi2", 0);
        AttemptsEnded ended;
        ended.reports.push_back(report_of(first));
        liar.send(ended);
        co_await expect_bad(liar, "before resync");
        AttemptsStarted started;
        started.attempts = {first};
        liar.send(started);
        co_await expect_bad(liar, "before resync");
        AttemptsRetracted retracted;
        retracted.attempts = {first};
        liar.send(retracted);
        co_await expect_bad(liar, "before resync");
        CHECK(w.counters().unknown_attempts == 0);
        CHECK(w.count(TaskState::running) >= 2);
        CHECK(w.master.context.counters.bad_messages == 3);
    });
}

TEST_CASE("a resync with another's attempts takes nothing away from it", "[jobs]") {
    LyingWorld world;
    run(world, [](LyingWorld& w) -> asio::awaitable<void> {
        Connection pi1 = co_await w.honest();
        Connection liar = co_await join_as(w.master, "pi2", 0);
        std::vector<AttemptState> states(4);
        states[0].key = first;
        states[0].state = "running";
        states[1].key = second;
        states[1].state = "ended";
        states[2].key = AttemptKey{9, 9, 9};
        states[2].state = "waiting";
        states[3].key = AttemptKey{1, 1, 5};
        states[3].state = "no such state";
        const auto verdicts = co_await resync(liar, states);
        REQUIRE(verdicts.size() == 4);
        CHECK(verdicts[0].verdict == "kill");
        CHECK(verdicts[1].verdict == "ack");
        CHECK(verdicts[2].verdict == "kill");
        CHECK(verdicts[3].verdict == "kill");
        std::vector<AttemptReport> truth;
        truth.push_back(report_of(first));
        truth.push_back(report_of(second));
        co_await report(pi1, truth);
        CHECK(w.count(TaskState::done) == 2);
    });
}

TEST_CASE("reports that make no sense are bounded", "[jobs]") {
    LyingWorld world;
    run(world, [](LyingWorld& w) -> asio::awaitable<void> {
        Connection pi1 = co_await w.honest();
        AttemptsEnded message;
        message.reports.push_back(report_of(first));
        message.reports[0].inline_bytes = 1 << 30;
        pi1.send(message);
        co_await expect_bad(pi1, "less output");
        message.reports[0].inline_bytes = -1;
        pi1.send(message);
        co_await expect_bad(pi1, "less output");
        CHECK(w.count(TaskState::done) == 0);

        std::vector<AttemptReport> reports;
        reports.push_back(report_of(first));
        auto& strange = reports[0];
        strange.outcome = "triumph";
        strange.reason = std::string(10'000, 'x');
        strange.duration_seconds = -1e300;
        strange.age_seconds = 1e300;
        strange.max_rss_bytes = INT64_MIN;
        strange.output_bytes = INT64_MAX;
        co_await report(pi1, reports);
        const auto result = co_await w.master.context.store.task_result(1, 0);
        REQUIRE(result.has_value());
        CHECK(result->state == "failed");
        CHECK(result->reason.size() < 1000);
        CHECK(result->duration_seconds == 0);
        CHECK(result->max_rss_bytes == 0);
        CHECK(result->output_bytes <= static_cast<std::int64_t>(limits::output_bytes));

        reports[0] = report_of(second);
        reports[0].max_rss_bytes = INT64_MAX;
        reports[0].output_blob = std::string(64, 'a');
        reports[0].output_bytes = INT64_MAX;
        co_await report(pi1, reports);
        const auto other = co_await w.master.context.store.task_result(1, 1);
        REQUIRE(other.has_value());
        CHECK(other->max_rss_bytes == 0);
        CHECK(other->output_bytes == static_cast<std::int64_t>(limits::output_bytes));
    });
}
