#include <cmath>
#include <ctime>

#include "test/unit/jobs_world.hpp"

using namespace rpic;
using namespace rpic::test;

namespace {

/// What a viewer who watches the job for some minutes costs.
double seconds_of_views(const JobsWorld& world, JobId id) {
    const auto start = std::clock();
    for (int i = 0; i < 1000; ++i) CHECK(world.jobs.view(*world.jobs.find(id)).nodes == 0);
    return static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
}

}  // namespace

TEST_CASE("A job runs once, and its result is recorded before it is acknowledged", "[jobs]") {
    JobsWorld world;
    world.worker("a", 1);
    CHECK(world.submit(world.spec()) == 1);
    CHECK(world.effects() == Lines{"new job 1", "(job_submitted)"});
    world.place();
    CHECK(world.effects() == Lines{"task 1.0 [1@a]", "start 1.0#1 on 1"});
    CHECK(world.state(1) == "running");
    world.place();
    CHECK(world.effects().empty());
    world.ended(1, {1, 0, 1}, 0, "exited", "hello");
    CHECK(world.effects() == Lines{"drop task 1.0", "result 1.0 done #1 hello", "job 1 ended",
                                   "ended 1", "(job_ended)", "ack 1.0#1 on 1"});
    CHECK(world.state(1) == "done");
}

TEST_CASE("A second report of the same attempt is acknowledged, dropped and counted", "[jobs]") {
    JobsWorld world;
    world.worker("a", 1);
    world.submit(world.spec());
    world.place();
    world.ended(1, {1, 0, 1});
    world.ended(1, {1, 0, 1}, 1);
    CHECK(world.effects() == Lines{"ack 1.0#1 on 1"});
    CHECK(world.state(1) == "done");
    CHECK(world.jobs.counters().unknown_attempts == 1);
}

TEST_CASE("A node cannot report another node's attempt", "[jobs]") {
    JobsWorld world;
    world.worker("a", 1);
    world.submit(world.spec());
    world.place();
    world.worker("b", 2);
    world.ended(2, {1, 0, 1});
    CHECK(world.effects() == Lines{"ack 1.0#1 on 2"});
    CHECK(world.state(1) == "running");
    world.ended(2, {77, 3, 9});
    CHECK(world.effects() == Lines{"ack 77.3#9 on 2"});
    CHECK(world.jobs.counters().unknown_attempts == 2);
}

TEST_CASE("The same idempotency key gives the same job", "[jobs]") {
    JobsWorld world;
    auto spec = world.spec();
    spec.idempotency_key = "k";
    CHECK(world.submit(spec) == 1);
    CHECK(world.submit(spec) == 1);
    CHECK(world.effects().empty());
    CHECK(world.submit(spec, "bob") == 2);
    spec.time_limit_seconds = 0.1;
    spec.idempotency_key = "l";
    CHECK(world.submit(spec) == 3);
    spec.time_limit_seconds = std::nextafter(0.1, 1);  // as it may be after a way through text
    CHECK(world.submit(spec) == 3);
}

TEST_CASE("An idempotency key is not taken for another job", "[jobs]") {
    JobsWorld world;
    auto spec = world.spec();
    spec.idempotency_key = "k";
    CHECK(world.submit(spec) == 1);
    const auto refused = [&](const JobSpec& other) {
        world.refused.clear();
        return world.submit(other) == 0 && world.refused.starts_with("conflict: ") &&
               world.effects().empty();
    };
    auto other = spec;
    other.command.emplace_back("more");
    CHECK(refused(other));
    other = spec;
    other.cpus = 2;
    CHECK(refused(other));
    other = spec;
    other.max_fails = 0;
    CHECK(refused(other));
    CHECK(world.submit(spec) == 1);
}

TEST_CASE("Cpus, memory and named resources are never oversubscribed", "[jobs]") {
    JobsWorld world;
    world.worker("a", 1, 4);
    auto big = world.spec("1-3");
    big.memory_bytes = std::int64_t{600} << 20;
    big.on_disconnect = "stop";  // never queued ahead
    world.submit(big);
    world.place();
    CHECK(world.jobs.worker("a")->used.memory_bytes == big.memory_bytes);
    CHECK(world.jobs.find(1)->count(TaskState::running) == 1);
    auto gpu = world.spec("1-3");
    gpu.resources["gpu"] = 1;
    gpu.on_disconnect = "stop";
    world.submit(gpu);
    world.place();
    CHECK(world.jobs.find(2)->count(TaskState::running) == 1);
    auto wide = world.spec("1-9");
    wide.on_disconnect = "stop";
    world.submit(wide);
    world.place();
    CHECK(world.jobs.find(3)->count(TaskState::running) == 2);
    CHECK(world.jobs.worker("a")->free_milli() == 0);
}

TEST_CASE("Tasks wait on nodes only when no slot is free, and start there in order", "[jobs]") {
    JobsWorld world;
    world.worker("a", 1, 2);
    world.submit(world.spec("1-10"));
    world.place();
    CHECK(world.effects() == Lines{"task 1.0 [1@a]", "start 1.1#1 on 1", "task 1.1 [1@a]",
                                   "start 1.2#1 on 1", "task 1.2 [1@a]", "start 1.3#1 on 1 ahead",
                                   "task 1.3 [1@a]", "start 1.4#1 on 1 ahead"});
    CHECK(world.jobs.worker("a")->used.cpus_milli == 2000);
    world.ended(1, {1, 1, 1});
    CHECK(world.jobs.worker("a")->used.cpus_milli == 2000);
    CHECK(world.jobs.worker("a")->ahead.size() == 1);
}

TEST_CASE("A turn starts so many tasks at most, and each node gets its share of them", "[jobs]") {
    JobsWorld world;
    constexpr std::int64_t nodes = 20;
    constexpr std::int64_t cpus = 150;
    constexpr auto most = static_cast<std::int64_t>(limits::placements_per_turn);
    for (std::int64_t i = 0; i < nodes; ++i)
        world.worker("n" + std::to_string(i), static_cast<SessionId>(i + 1), cpus);
    world.submit(world.spec("1-100000"));
    const auto placed = [&] {
        std::int64_t count = 0;
        for (const auto& [id, worker] : world.jobs.workers())
            count += static_cast<std::int64_t>(worker.attempts.size());
        return count;
    };
    world.place();
    CHECK(placed() == most);
    CHECK(world.jobs.unfinished());
    const auto share = (most - nodes * cpus) / nodes;
    for (const auto& [id, worker] : world.jobs.workers())
        CHECK(static_cast<std::int64_t>(worker.ahead.size()) >= share);
    world.place();
    CHECK(placed() == 2 * nodes * cpus);
    world.place();
    CHECK(world.effects().empty());
    CHECK_FALSE(world.jobs.unfinished());
}

TEST_CASE("What waits on a node is queued for people, who are told why", "[jobs]") {
    JobsWorld world;
    world.worker("a", 1, 1);
    world.submit(world.spec());
    world.submit(world.spec());
    world.place();
    const auto* second = world.jobs.find(2);
    REQUIRE(world.jobs.worker("a")->ahead.size() == 1);
    CHECK(world.jobs.view(*second).state == "queued");
    CHECK(world.jobs.view(*second).tasks["queued"] == 1);
    CHECK(world.jobs.view(*second).tasks["running"] == 0);
    CHECK(world.jobs.task_view(*second, 0).state == "queued");
    CHECK(!world.jobs.task_view(*second, 0).started_at);
    CHECK(world.jobs.explain(world.now, *second).reason.find("busy; nearest is a") !=
          std::string::npos);
    const auto before = second->changed;
    world.ended(1, {1, 0, 1});
    CHECK(world.jobs.view(*second).state == "running");
    CHECK(world.jobs.view(*second).tasks["running"] == 1);
    CHECK(second->changed > before);
}

TEST_CASE("A node that has not told its attempts yet counts for what can run", "[jobs]") {
    JobsWorld world;
    world.connect("a", 1);
    world.submit(world.spec());
    CHECK(world.warning.empty());
    world.place();
    CHECK(world.effects().empty());
    auto large = world.spec();
    large.cpus = 8;
    world.submit(large);
    CHECK(!world.warning.empty());
}

TEST_CASE("Waiting tasks move to a node that has become free", "[jobs]") {
    JobsWorld world;
    world.worker("a", 1, 1);
    world.submit(world.spec("1-2"));
    world.place();
    CHECK(world.jobs.worker("a")->ahead.size() == 1);
    world.worker("b", 2, 1);
    world.beat({1, 2});
    world.pass(250ms);
    CHECK(world.effects() == Lines{"retract 1.2#1 on 1: retracted"});
    world.retracted(1, {1, 2, 1});
    CHECK(world.effects() == Lines{"task 1.1 []"});
    world.place();
    CHECK(world.effects() == Lines{"task 1.1 [2@b]", "start 1.2#2 on 2"});
}

TEST_CASE("A higher priority goes first, also before what waits on nodes", "[jobs]") {
    JobsWorld world;
    world.worker("a", 1, 1);
    world.submit(world.spec("1-3"));
    world.place();
    auto urgent = world.spec();
    urgent.priority = 5;
    world.submit(urgent);
    world.place();
    CHECK(world.effects() == Lines{"retract 1.2#1 on 1: retracted"});
    world.retracted(1, {1, 2, 1});
    CHECK(world.effects() == Lines{"task 1.1 []"});
    world.place();
    CHECK(world.effects() == Lines{"task 2.0 [1@a]", "start 2.0#1 on 1 ahead"});
}

TEST_CASE("Submitters share the cluster", "[jobs]") {
    JobsWorld world;
    world.worker("a", 1, 4);
    auto spec = world.spec("1-100");
    spec.on_disconnect = "stop";
    world.submit(spec, "ann");
    world.submit(spec, "bob");
    world.place();
    CHECK(world.jobs.find(1)->count(TaskState::running) == 2);
    CHECK(world.jobs.find(2)->count(TaskState::running) == 2);
}

TEST_CASE("A failure is retried with a pause, on another node if there is one", "[jobs]") {
    JobsWorld world;
    world.worker("a", 1, 1);
    auto spec = world.spec();
    spec.retries = 1;
    world.submit(spec);
    world.place();
    world.worker("b", 2, 1);
    world.beat({1, 2});
    world.ended(1, {1, 0, 1}, 3);
    CHECK(world.effects() == Lines{"task 1.0 []", "ack 1.0#1 on 1"});
    world.place();
    CHECK(world.effects().empty());
    world.pass(1s);
    world.place();
    CHECK(world.effects() == Lines{"task 1.0 [2@b]", "start 1.0#2 on 2"});
    world.ended(2, {1, 0, 2}, 3);
    CHECK(world.effects() == Lines{"drop task 1.0", "result 1.0 failed #2", "(task_failed)",
                                   "job 1 ended", "ended 1", "(job_ended)", "ack 1.0#2 on 2"});
    CHECK(world.state(1) == "failed");
}

TEST_CASE("More failures than --max-fails cancel the rest", "[jobs]") {
    JobsWorld world;
    world.worker("a", 1, 1);
    auto spec = world.spec("1-1000000");
    spec.max_fails = 1;
    spec.on_disconnect = "stop";
    world.submit(spec);
    world.place();
    world.ended(1, {1, 1, 1}, 1);
    world.place();
    world.ended(1, {1, 2, 1}, 1);
    CHECK(world.state(1) == "failed");
    CHECK(world.jobs.find(1)->count(TaskState::cancelled) == 999'998);
}

TEST_CASE("An array limit holds", "[jobs]") {
    JobsWorld world;
    world.worker("a", 1, 8);
    world.submit(world.spec("1-100%3"));
    world.place();
    CHECK(world.jobs.find(1)->count(TaskState::running) == 3);
    world.ended(1, {1, 1, 1});
    world.place();
    CHECK(world.jobs.find(1)->count(TaskState::running) == 3);
}

TEST_CASE("--where chooses nodes, and nobody runs what does not fit", "[jobs]") {
    JobsWorld world;
    world.worker("a", 1, 4);
    auto spec = world.spec();
    spec.where = "arch==arm64";
    world.submit(spec);
    CHECK(world.warning.find("explain") != std::string::npos);
    world.place();
    CHECK(world.effects().empty());
    const auto why = world.jobs.explain(world.now, *world.jobs.find(1));
    CHECK(why.nearest == "a");
    CHECK(why.reason ==
          "no node that is known can ever run it; nearest is a: arch is amd64, not arm64");
    world.worker("b", 2, 1, "arm64");
    world.place();
    CHECK(world.effects() == Lines{"task 1.0 [1@b]", "start 1.0#1 on 2"});
}

TEST_CASE("A job waits for others, and is cancelled with the one that failed", "[jobs]") {
    JobsWorld world;
    world.worker("a", 1, 1);
    world.submit(world.spec());
    auto second = world.spec();
    second.after = {"1"};
    world.submit(second);
    auto third = world.spec();
    third.after = {"2"};
    world.submit(third);
    auto cleanup = world.spec();
    cleanup.after = {"any:1"};
    world.submit(cleanup);
    world.place();
    CHECK(world.effects() == Lines{"task 1.0 [1@a]", "start 1.0#1 on 1"});
    world.ended(1, {1, 0, 1}, 9);
    CHECK(world.state(1) == "failed");
    CHECK(world.state(2) == "cancelled");
    CHECK(world.state(3) == "cancelled");
    CHECK(world.jobs.find(2)->status.reason == "job 1 failed");
    CHECK(world.jobs.find(3)->status.reason == "job 2 was cancelled");
    world.place();
    CHECK(world.effects() == Lines{"task 4.0 [1@a]", "start 4.0#1 on 1"});
    auto late = world.spec();
    late.after = {"1"};
    CHECK(world.submit(late) == 5);
    CHECK(world.state(5) == "cancelled");
    late.after = {"99"};
    CHECK(world.submit(late) == 0);
}

TEST_CASE("Cancelling stops what runs and forgets what waits", "[jobs]") {
    JobsWorld world;
    world.worker("a", 1, 1);
    auto spec = world.spec("1-5");
    spec.on_disconnect = "stop";
    world.submit(spec);
    world.place();
    world.cancel(1);
    CHECK(world.effects() ==
          Lines{"job 1 cancelled", "stop 1.1#1 on 1: cancelled", "(job_cancelled)"});
    CHECK(world.state(1) == "running");
    world.ended(1, {1, 1, 1}, 0, "killed");
    CHECK(world.effects() == Lines{"drop task 1.0", "result 1.0 cancelled #1",
                                   "job 1 ended cancelled", "ended 1", "(job_ended)",
                                   "ack 1.1#1 on 1"});
    CHECK(world.state(1) == "cancelled");
}

TEST_CASE("Held jobs do not start; released ones do", "[jobs]") {
    JobsWorld world;
    world.worker("a", 1, 1);
    auto spec = world.spec();
    spec.held = true;
    world.submit(spec);
    world.place();
    CHECK(world.effects().empty());
    CHECK(world.state(1) == "held");
    Effects effects;
    world.jobs.hold(world.now, *world.jobs.find(1), false, effects);
    world.place();
    CHECK(world.effects() == Lines{"task 1.0 [1@a]", "start 1.0#1 on 1"});
}

TEST_CASE("Failed tasks are retried with numbers that were never given", "[jobs]") {
    JobsWorld world;
    world.worker("a", 1, 1);
    auto spec = world.spec("1-2");
    spec.on_disconnect = "stop";
    world.submit(spec);
    world.place();
    world.ended(1, {1, 1, 1}, 1);
    world.place();
    world.ended(1, {1, 2, 1}, 0);
    CHECK(world.state(1) == "failed");
    Effects effects;
    const auto count = world.jobs.retry(world.now, *world.jobs.find(1),
                                        {TaskState::failed, TaskState::done}, false, effects);
    CHECK(count == 1);
    world.place();
    CHECK(world.effects() == Lines{"task 1.0 [2@a]", "start 1.1#2 on 1"});
    world.ended(1, {1, 1, 2}, 0);
    CHECK(world.state(1) == "done");
}

TEST_CASE("A job that is being cancelled cannot be retried before it has ended", "[jobs]") {
    JobsWorld world;
    world.worker("a", 1, 1);
    world.submit(world.spec("1-3"));
    world.place();
    Effects effects;
    auto& job = *world.jobs.find(1);
    world.jobs.hold(world.now, job, true, effects);
    world.jobs.cancel(world.now, job, "cancelled by ann", effects);
    effects.clear();
    REQUIRE(!job.ended());
    CHECK(world.jobs.retry(world.now, job, {}, true, effects) == 0);
    CHECK(effects.empty());
    world.ended(1, {1, 1, 1}, 0, "killed");
    world.retracted(1, {1, 2, 1});
    REQUIRE(job.ended());
    const std::vector<TaskState> cancelled(3, TaskState::cancelled);
    CHECK(world.jobs.retry(world.now, job, cancelled, true, effects) == 3);
    CHECK(world.state(1) == "queued");
}

TEST_CASE("Arrays of a million tasks cost bytes", "[jobs]") {
    JobsWorld world;
    world.worker("a", 1, 2);
    world.submit(world.spec("1-1000000"));
    world.place();
    CHECK(world.jobs.find(1)->active.size() == 4);
    CHECK(world.jobs.find(1)->count(TaskState::queued) == 999'996);
    CHECK(world.submit(world.spec("1-1000001")) == 0);
}

TEST_CASE("A retry of a million tasks is one record and costs bytes", "[jobs]") {
    constexpr std::int64_t size = 1'000'000;
    const bool cancelled = GENERATE(true, false);
    JobsWorld world;
    auto spec = world.spec("1-" + std::to_string(size));
    world.submit(spec);
    world.cancel(1);
    REQUIRE(world.state(1) == "cancelled");
    // All but the last one have failed, or none was ever begun.
    std::vector<TaskState> states;
    if (!cancelled) {
        states.assign(size, TaskState::failed);
        states.back() = TaskState::done;
    }
    Effects effects;
    auto& job = *world.jobs.find(1);
    const auto count = world.jobs.retry(world.now, job, states, cancelled, effects);
    CHECK(count == (cancelled ? size : size - 1));
    REQUIRE(effects.size() == 1);
    const auto saved = std::get<SaveJobStatus>(effects.front()).status;
    CHECK(state_after_result(saved, TaskState::failed, 0) == TaskState::queued);
    CHECK(job.active.empty());
    CHECK(job.count(TaskState::queued) == count);
    CHECK(job.frontier() == (cancelled ? 0 : size));
    CHECK(job.next_waiting() == 0);
    CHECK(seconds_of_views(world, 1) < 1);

    world.worker("a", 1, 1);
    world.place();
    CHECK(world.effects() ==
          Lines{"task 1.0 [1@a]", "start 1.1#1 on 1", "task 1.1 [1@a]", "start 1.2#1 on 1 ahead"});
    world.cancel(1);
    CHECK(world.effects().size() < 10);
    CHECK(job.count(TaskState::cancelled) == count - 2);
}

TEST_CASE("What is told of a job costs the same, however many of its tasks have begun", "[jobs]") {
    JobsWorld world;
    constexpr std::int64_t size = 300'000;
    JobStatus status;
    status.id = 1;
    status.size = size;
    world.jobs.restore(status, std::make_shared<const JobSpec>(world.spec("1-300000")), {});
    TaskRecord failed_once;
    failed_once.job = failed_once.last_attempt = failed_once.failures = 1;
    for (; failed_once.position < size; ++failed_once.position) world.jobs.restore(failed_once);
    REQUIRE(world.jobs.find(1)->active.size() == size);
    CHECK(seconds_of_views(world, 1) < 1);
}

TEST_CASE("Bad requests are refused with a reason", "[jobs]") {
    JobsWorld world;
    const auto refuse = [&](auto change) {
        auto spec = world.spec();
        change(spec);
        world.refused.clear();
        CHECK(world.submit(spec) == 0);
        return world.refused;
    };
    CHECK(refuse([](auto& s) { s.command.clear(); }).starts_with("bad_request: the command"));
    CHECK(refuse([](auto& s) { s.cpus = -1; }).starts_with("bad_request: cpus"));
    CHECK(refuse([](auto& s) { s.cpus = std::nan(""); }).starts_with("bad_request: cpus"));
    CHECK(refuse([](auto& s) { s.array = "5-1"; }).starts_with("bad_request: array"));
    CHECK(refuse([](auto& s) { s.where = "a=="; }).starts_with("bad_request: where"));
    CHECK(refuse([](auto& s) { s.retries = -1; }).starts_with("bad_request: retries"));
    CHECK(refuse([](auto& s) { s.out = {"*", "../*"}; }).starts_with("bad_request: the pattern"));
    CHECK(refuse([](auto& s) { s.after = {"x"}; }).starts_with("bad_request: bad dependency"));
    CHECK(refuse([](auto& s) { s.on_disconnect = "x"; }).starts_with("bad_request: on-dis"));
    CHECK(refuse([](auto& s) { s.lost_after_seconds = 5; }).starts_with("bad_request: lost"));
    CHECK(refuse([](auto& s) { s.in = {"../etc"}; }).starts_with("bad_request: bad blob"));
}

TEST_CASE("The name of a job fits into a line", "[jobs]") {
    JobsWorld world;
    auto spec = world.spec();
    spec.name = std::string(limits::job_name_bytes, 'x');
    CHECK(world.submit(spec) != 0);
    spec.name += 'x';
    CHECK(world.submit(spec) == 0);
    CHECK(world.refused.find("at most 256") != std::string::npos);
    for (const auto* name : {"two\nlines", "\x1b[31mred", "\x7f", "\xff"}) {
        spec.name = name;
        CHECK(world.submit(spec) == 0);
        CHECK(world.refused.find("without line feeds") != std::string::npos);
    }
    spec.name = "W\xc3\xbcrfel 7";
    CHECK(world.submit(spec) != 0);
}
