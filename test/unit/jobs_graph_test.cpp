#include "test/unit/jobs_world.hpp"

using namespace rpic;
using namespace rpic::test;

namespace {

JobSpec after(const std::string& dependency) {
    auto spec = JobsWorld::spec();
    spec.after = {dependency};
    return spec;
}

/// What a start of the master makes of job 1, whose tasks ended like this.
void restore(JobsWorld& world, JobStatus status, const JobSpec& spec, std::vector<TaskState> states,
             std::int64_t highest) {
    status.id = 1;
    status.submitter = "ann";
    world.jobs.restore(status, std::make_shared<const JobSpec>(spec), std::move(states), highest);
}

}  // namespace

TEST_CASE("A chain of jobs may be longer than a stack is deep", "[jobs]") {
    JobsWorld world;
    world.submit(world.spec());
    constexpr JobId length = 20'000;
    for (JobId id = 2; id <= length; ++id) world.submit(after(std::to_string(id - 1)));
    world.cancel(1);
    CHECK(world.state(length) == "cancelled");
}

TEST_CASE("A job that is retried waits for those that go on, and does not wait for ever",
          "[jobs]") {
    JobsWorld world;
    world.worker("a", 1, 2);
    world.submit(world.spec());
    world.submit(world.spec());
    auto spec = world.spec();
    spec.after = {"1", "2"};
    world.submit(spec);
    world.place();
    world.ended(1, {1, 0, 1}, 1);
    CHECK(world.state(3) == "cancelled");
    Effects effects;
    SECTION("while the other still runs") {
        CHECK(world.jobs.retry(world.now, *world.jobs.find(3), {}, true, effects) == 1);
        CHECK(world.jobs.find(3)->waits_for == 1);
        world.ended(1, {2, 0, 1});
    }
    SECTION("after its end") {
        world.ended(1, {2, 0, 1});
        CHECK(world.jobs.retry(world.now, *world.jobs.find(3), {}, true, effects) == 1);
    }
    world.place();
    CHECK(world.effects() == Lines{"task 3.0 [1@a]", "start 3.0#1 on 1"});
}

TEST_CASE("After a restart a retried job runs although one that it needed has failed", "[jobs]") {
    JobsWorld world;
    JobStatus failed;
    failed.ended = true;
    failed.failed = 1;
    restore(world, failed, world.spec(), {}, 0);
    JobStatus retried;
    retried.id = 2;
    world.jobs.restore(retried, std::make_shared<const JobSpec>(after("1")), {});
    Effects effects;
    world.jobs.restored(world.now, effects);
    CHECK(effects.empty());
    CHECK(world.state(2) == "queued");
}

TEST_CASE("What was cancelled stays so after a retry of what has failed, and a restart", "[jobs]") {
    JobsWorld world;
    world.worker("a", 1);
    auto spec = world.spec("1-5");
    spec.max_fails = 0;
    spec.on_disconnect = "stop";
    world.submit(spec);
    world.place();
    world.ended(1, {1, 1, 1}, 1);
    REQUIRE(world.state(1) == "failed");
    Effects effects;
    CHECK(world.jobs.retry(world.now, *world.jobs.find(1), {TaskState::failed}, false, effects) ==
          1);
    const auto& saved = std::get<SaveJobStatus>(effects.front()).status;
    JobsWorld later;
    restore(later, saved, spec, {state_after_result(saved, TaskState::failed, 0)}, 1);
    later.jobs.restored(later.now, effects);
    CHECK(later.jobs.find(1)->count(TaskState::cancelled) == 4);
    later.worker("a", 1, 4);
    later.place();
    CHECK(later.effects() == Lines{"task 1.0 [2@a]", "start 1.1#2 on 1"});
}

TEST_CASE("After a restart numbers are higher than those of results, also in a new epoch",
          "[jobs]") {
    const std::int64_t epoch = GENERATE(1, 3);
    JobsWorld world(epoch, 2);
    JobStatus status;
    status.first = 1;
    status.size = 2;
    status.highest_attempt = 1;
    restore(world, status, world.spec("1-2"), {TaskState::failed, TaskState::done}, 7);
    Effects effects;
    world.jobs.restored(world.now, effects);
    REQUIRE(world.state(1) == "failed");
    CHECK(world.jobs.retry(world.now, *world.jobs.find(1), {TaskState::failed, TaskState::done},
                           false, effects) == 1);
    world.worker("a", 1);
    world.place();
    const auto first = std::to_string(epoch == 1 ? 8 : 2'000'001);
    CHECK(world.effects() == Lines{"task 1.0 [" + first + "@a]", "start 1.1#" + first + " on 1"});
}

TEST_CASE("After a restart a job that is being cancelled ends with its last attempt", "[jobs]") {
    JobsWorld world;
    JobStatus status;
    status.first = 1;
    status.size = 9;
    status.cancelled = true;
    restore(world, status, world.spec("1-9"), {}, 0);
    TaskRecord record;
    record.job = 1;
    record.position = 4;
    record.last_attempt = 1;
    record.live = {{1, "a", 0}};
    world.jobs.restore(record);
    Effects effects;
    world.connect("a", 1);
    world.jobs.restored(world.now, effects);
    AttemptState told;
    told.key = {1, 5, 1};
    told.state = "running";
    world.resync(1, {told});
    CHECK(world.effects() == Lines{"stop 1.5#1 on 1: cancelled"});
    world.ended(1, told.key, 0, "killed");
    CHECK(world.state(1) == "cancelled");
}

TEST_CASE("A job for each of some nodes is refused for an unknown one, and fails for a removed one",
          "[jobs]") {
    JobsWorld world;
    world.worker("a", 1);
    world.worker("b", 2);
    auto spec = world.spec();
    spec.on_each = {"a", "c"};
    CHECK(world.submit(spec) == 0);
    CHECK(world.refused.starts_with("not_found"));
    spec.on_each = {"a", "b"};
    world.submit(spec);
    Effects effects;
    world.cluster.remove(world.at(), "b", effects);
    world.place();
    world.ended(1, {1, 1, 1});
    CHECK(world.state(1) == "failed");
}

TEST_CASE("A task that waits for another node does not hold up the others", "[jobs]") {
    JobsWorld world;
    world.worker("a", 1);
    world.worker("b", 2);
    world.beat({1, 2});
    auto spec = world.spec("1-3");
    spec.retries = 1;
    spec.on_disconnect = "stop";
    world.submit(spec);
    world.place();
    world.ended(1, {1, 1, 1}, 1);
    world.place();
    world.ended(1, {1, 3, 1});
    world.pass(1s);
    world.submit(world.spec());
    world.place();
    // Its first task waits for b, which is busy; a takes the next job meanwhile.
    CHECK(world.effects() == Lines{"task 2.0 [1@a]", "start 2.0#1 on 1"});
}

TEST_CASE("A large task gets a node in the end, though small ones never cease", "[jobs]") {
    JobsWorld world;
    world.worker("a", 1, 2);
    world.beat({1});
    world.submit(world.spec("1-1000"), "bob");
    world.place();
    auto large = world.spec();
    large.cpus = 2;
    world.submit(large, "ann");
    for (int round = 0; round < 200 && world.state(2) == "queued"; ++round) {
        world.pass(500ms);
        // Every other task ends, so that the node is never empty by itself.
        std::vector<AttemptKey> running;
        for (const auto& [id, held] : world.jobs.worker("a")->attempts)
            if (!held.ahead)
                running.push_back({std::get<0>(id), std::get<1>(id) + 1, std::get<2>(id)});
        if (!running.empty()) world.ended(1, running.front());
        std::vector<AttemptKey> given_back;
        for (const auto& [id, held] : world.jobs.worker("a")->attempts)
            if (held.retracting)
                given_back.push_back({std::get<0>(id), std::get<1>(id) + 1, std::get<2>(id)});
        for (const auto& key : given_back) world.retracted(1, key);
        world.place();
    }
    CHECK(world.state(2) == "running");
}

TEST_CASE("Tasks that ask for no cpu are not without number on a node", "[jobs]") {
    JobsWorld world;
    world.worker("a", 1);
    auto spec = world.spec("1-3000");
    spec.cpus = 0;
    world.submit(spec);
    for (int turn = 0; turn < 3; ++turn) world.place();
    CHECK(world.jobs.worker("a")->running() == limits::node_tasks);
}

TEST_CASE("Numbers without sense are refused or taken for nothing", "[jobs]") {
    JobsWorld world;
    world.worker("a", 1);
    auto spec = world.spec();
    spec.priority = std::numeric_limits<std::int64_t>::min();
    CHECK(world.submit(spec) == 0);
    spec = world.spec();
    spec.memory_bytes = std::numeric_limits<std::int64_t>::max();
    spec.resources["gpu"] = std::numeric_limits<std::int64_t>::max();
    world.submit(spec);
    world.place();
    CHECK(world.effects().empty());
    world.submit(world.spec());
    world.place();
    AttemptReport report;
    report.key = {2, 0, 1};
    report.outcome = "exited";
    report.age_seconds = std::numeric_limits<double>::infinity();
    report.duration_seconds = std::numeric_limits<double>::quiet_NaN();
    report.files = "../../etc/passwd";
    report.output_blob = "x";
    Effects effects;
    world.jobs.on_ended(world.now, 1, report, "", effects);
    for (const auto& effect : effects)
        if (const auto* saved = std::get_if<SaveResult>(&effect)) {
            CHECK(saved->started_ago_seconds == 0);
            CHECK(saved->result.files.empty());
            CHECK(saved->result.output_blob.empty());
        }
}

TEST_CASE("What has not begun waits again for a job that is retried", "[jobs]") {
    JobsWorld world;
    world.worker("a", 1);
    world.submit(world.spec());
    auto spec = after("any:1");
    spec.held = true;
    world.submit(spec);
    world.place();
    world.ended(1, {1, 0, 1}, 1);
    CHECK(world.jobs.find(2)->waits_for == 0);
    Effects effects;
    world.jobs.retry(world.now, *world.jobs.find(1), {TaskState::failed}, false, effects);
    CHECK(world.jobs.find(2)->waits_for == 1);
    world.place();
    world.ended(1, {1, 0, 2});
    CHECK(world.jobs.find(2)->waits_for == 0);
}

TEST_CASE("The earlier result of a task that was taken up again and then cancelled does not stand",
          "[jobs]") {
    JobsWorld world;
    world.worker("a", 1);
    world.submit(world.spec("1-2%1"));
    world.place();
    world.ended(1, {1, 1, 1}, 1);
    Effects effects;
    REQUIRE(world.jobs.retry(world.now, *world.jobs.find(1), {}, false, effects) == 1);
    world.cancel(1);
    CHECK(world.effects() == Lines{"job 1 cancelled", "(job_cancelled)", "job 1 ended cancelled",
                                   "ended 1", "(job_ended)"});
    auto& job = *world.jobs.find(1);
    CHECK(job.status.failed == 0);
    CHECK_FALSE(stands(job.status, TaskState::failed, 0));
    SECTION("so a retry of what has failed leaves it") {
        CHECK(world.jobs.retry(world.now, job, {}, false, effects) == 0);
    }
    SECTION("also after a restart amid the retry of another one") {
        const std::vector<TaskState> states = {TaskState::cancelled, TaskState::failed};
        REQUIRE(world.jobs.retry(world.now, job, states, false, effects) == 1);
        CHECK(job.state(0) == TaskState::cancelled);
        CHECK(state_after_result(job.status, TaskState::failed, 0) == TaskState::cancelled);
        CHECK(job.state(1) == TaskState::queued);
        CHECK(state_after_result(job.status, TaskState::failed, 1) == TaskState::queued);
        CHECK(state_after_result(job.status, TaskState::failed, 2) == TaskState::failed);
    }
}

TEST_CASE("What runs while its job is retried is not taken up by that", "[jobs]") {
    JobsWorld world;
    world.worker("a", 1, 2);
    world.submit(world.spec("1-2"));
    world.place();
    world.ended(1, {1, 1, 1}, 1);
    Effects effects;
    auto& job = *world.jobs.find(1);
    REQUIRE(world.jobs.retry(world.now, job, {}, false, effects) == 1);
    world.ended(1, {1, 2, 1}, 1);
    const auto& result = std::get<SaveResult>(world.raw_effects().at(1)).result;
    REQUIRE(result.state == "failed");
    CHECK(stands(job.status, TaskState::failed, result.round));
    CHECK(job.count(TaskState::failed) == 1);
    CHECK(job.count(TaskState::queued) == 1);
}
