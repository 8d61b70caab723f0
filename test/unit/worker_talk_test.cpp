#include "master/core/worker_talk.hpp"

#include <catch2/catch.hpp>

#include "common/errors.hpp"
#include "test/unit/jobs_world.hpp"

using namespace rpic;
using namespace rpic::test;

namespace {

AttemptReport done(std::int64_t task, std::int64_t inline_bytes) {
    AttemptReport report;
    report.key = AttemptKey{1, task, 1};
    report.outcome = "exited";
    report.exit_code = 0;
    report.inline_bytes = report.output_bytes = inline_bytes;
    return report;
}

}  // namespace

TEST_CASE("Nothing that a worker says means anything before its list of attempts", "[jobs]") {
    JobsWorld world;
    world.connect("a", 1);
    WorkerTalk talk(world.cluster, world.jobs, 1);
    Effects effects;
    AttemptsEnded ended;
    ended.reports.push_back(done(0, 0));
    CHECK_FALSE(talk.on_ended(world.now, ended, "", effects));
    CHECK_FALSE(talk.on_started(world.now, {}));
    CHECK_FALSE(talk.on_retracted(world.now, {}, effects));
    CHECK(effects.empty());

    Resync page;
    page.more = true;
    page.attempts.push_back({AttemptKey{7, 0, 1}, "running"});
    CHECK(talk.on_resync(world.now, page, effects).empty());
    CHECK_FALSE(talk.resynced());
    page.more = false;
    const auto answers = talk.on_resync(world.now, page, effects);
    REQUIRE(answers.size() == 1);
    CHECK(answers[0].verdicts.size() == 2);
    CHECK_FALSE(answers[0].more);
    CHECK(talk.on_ended(world.now, ended, "", effects));
}

TEST_CASE("Reports that promise more output than there is change nothing", "[jobs]") {
    JobsWorld world;
    world.connect("a", 1, 2);
    WorkerTalk talk(world.cluster, world.jobs, 1);
    Effects effects;
    talk.on_resync(world.now, {}, effects);
    world.submit(JobsWorld::spec("0-1"));
    world.place();

    AttemptsEnded ended;
    ended.reports = {done(0, 2), done(1, 2)};
    effects.clear();
    // The first one would be in order; but what Jobs makes of it would be lost with the second.
    CHECK_THROWS_AS(talk.on_ended(world.now, ended, "abc", effects), BadMessageError);
    CHECK(effects.empty());
    CHECK(world.jobs.find(1)->count(TaskState::running) == 2);

    CHECK(talk.on_ended(world.now, ended, "abcd", effects));
    CHECK(world.jobs.find(1)->ended());
}
