#include <algorithm>
#include <catch2/catch.hpp>

#include "test/unit/jobs_world.hpp"

using namespace rpic;
using namespace rpic::test;

namespace {

/// What a backup of epoch 1 holds: a job of two tasks, of which none had begun.
JobStatus from_backup() {
    JobStatus status;
    status.id = 5;
    status.submitter = "ann";
    status.size = 2;
    status.first = 1;
    return status;
}

std::shared_ptr<const JobSpec> job_under(const std::string& policy) {
    auto spec = JobsWorld::spec("1-2");
    spec.on_disconnect = policy;
    spec.lost_after_seconds = policy == "stop" ? 60 : 0;
    return std::make_shared<const JobSpec>(std::move(spec));
}

/// A master that was restored from such a backup, with a node that has come back.
struct Restored {
    explicit Restored(const std::string& policy, std::int64_t epoch = 2) : world(epoch, 2000) {
        world.jobs.restore(from_backup(), job_under(policy), {});
        Effects effects;
        world.jobs.restored(world.now, effects);
        world.worker("pi", 1, 2);
        world.beat({1});
    }
    JobsWorld world;
};

bool starts(const Lines& lines) {
    return std::any_of(lines.begin(), lines.end(),
                       [](const auto& line) { return line.starts_with("start "); });
}

}  // namespace

TEST_CASE("after a restore a task under stop waits for leases that the backup does not know of",
          "[jobs]") {
    Restored restored("stop");
    auto& world = restored.world;
    world.place();
    CHECK(world.effects().empty());
    CHECK(world.jobs.explain(world.now, *world.jobs.find(5)).reason ==
          "the master was restored from a backup: what the one before may have started under "
          "--on-disconnect stop ends first, in 60s");
    world.pass(59s);
    world.place();
    CHECK_FALSE(starts(world.effects()));
    world.pass(1s);
    CHECK(world.effects() == Lines{"job 5"});
    world.place();
    CHECK(starts(world.effects()));
    // From now on a restart of this master need not wait.
    CHECK(world.jobs.find(5)->status.epoch == 2);
}

TEST_CASE("after a restore nothing else waits for leases", "[jobs]") {
    SECTION("tasks under keep") {
        Restored restored("keep");
        restored.world.place();
        CHECK(starts(restored.world.effects()));
    }
    SECTION("a restart without a restore") {
        Restored restored("stop", 1);
        restored.world.place();
        CHECK(starts(restored.world.effects()));
    }
    SECTION("a job of the new epoch") {
        Restored restored("stop");
        auto& world = restored.world;
        auto spec = *job_under("stop");
        REQUIRE(world.submit(spec) == 2000);
        world.place();
        CHECK(starts(world.effects()));
        CHECK(world.jobs.find(5)->count(TaskState::running) == 0);
    }
}

TEST_CASE("a job that rests after a restore can be cancelled", "[jobs]") {
    Restored restored("stop");
    auto& world = restored.world;
    world.cancel(5);
    CHECK(world.state(5) == "cancelled");
    world.pass(61s);
    CHECK(world.effects().empty());
}

TEST_CASE("what had ended before a backup rests when it is retried after the restore", "[jobs]") {
    JobsWorld world(2, 2000);
    auto status = from_backup();
    status.ended = true;
    status.failed = 2;
    status.highest_attempt = 1;
    world.jobs.restore(status, job_under("stop"), {});
    Effects effects;
    world.jobs.restored(world.now, effects);
    world.worker("pi", 1, 2);
    world.beat({1});
    CHECK(world.jobs.retry(world.now, *world.jobs.find(5), {TaskState::failed, TaskState::failed},
                           false, effects) == 2);
    world.place();
    CHECK_FALSE(starts(world.effects()));
    world.pass(60s);
    world.place();
    CHECK(starts(world.effects()));
}
