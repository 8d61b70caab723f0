#include "test/unit/jobs_world.hpp"

using namespace rpic;
using namespace rpic::test;

namespace {

AttemptState has(AttemptKey key, const std::string& state) {
    AttemptState told;
    told.key = key;
    told.state = state;
    return told;
}

/// A task of which never two may run; its lease ends before the 60 s.
void start_with_lease(JobsWorld& world) {
    auto spec = world.spec();
    spec.on_disconnect = "stop";
    spec.lost_after_seconds = 60;
    world.submit(spec);
    world.place();
}

}  // namespace

TEST_CASE("keep: the task of a lost node runs elsewhere; the first success wins", "[jobs]") {
    JobsWorld world;
    world.worker("a", 1);
    world.submit(world.spec());
    world.place();
    world.worker("b", 2);
    world.beat({2});
    world.disconnect(1);
    CHECK(world.effects().empty());
    world.pass(20s);
    CHECK(world.effects() == Lines{"(attempt_lost)", "task 1.0 [1@a]"});
    world.place();
    CHECK(world.effects() == Lines{"task 1.0 [1@a 2@b]", "start 1.0#2 on 2"});

    // The node comes back and its attempt still runs: both may go on.
    world.connect("a", 3);
    CHECK(world.resync(3, {has({1, 0, 1}, "running")}) == Lines{"1.0#1 adopt"});
    CHECK(world.effects().empty());
    world.ended(3, {1, 0, 1}, 0, "exited", "first");
    CHECK(world.effects() == Lines{"stop 1.0#2 on 2: superseded", "drop task 1.0",
                                   "result 1.0 done #1 first", "job 1 ended", "ended 1",
                                   "(job_ended)", "ack 1.0#1 on 3"});
    world.ended(2, {1, 0, 2}, 0, "exited", "second");
    CHECK(world.effects() == Lines{"ack 1.0#2 on 2"});
    CHECK(world.jobs.counters().late_results == 1);
}

TEST_CASE("A failure ends only its own attempt while another lives", "[jobs]") {
    JobsWorld world;
    world.worker("a", 1);
    world.submit(world.spec());
    world.place();
    world.worker("b", 2);
    world.beat({2});
    world.disconnect(1);
    world.pass(20s);
    world.place();
    world.connect("a", 3);
    world.resync(3, {has({1, 0, 1}, "running")});
    world.ended(3, {1, 0, 1}, 1);
    CHECK(world.effects() == Lines{"task 1.0 [2@b]", "ack 1.0#1 on 3"});
    CHECK(world.state(1) == "running");
    world.ended(2, {1, 0, 2}, 0);
    CHECK(world.state(1) == "done");
}

TEST_CASE("No task has more than two live attempts; the oldest gives way", "[jobs]") {
    JobsWorld world;
    world.worker("a", 1);
    world.submit(world.spec());
    world.place();
    world.disconnect(1);
    world.pass(20s);
    world.worker("b", 2);
    world.place();
    world.disconnect(2);
    world.pass(20s);
    world.worker("c", 3);
    world.place();
    CHECK(world.effects() == Lines{"task 1.0 [2@b 3@c]", "start 1.0#3 on 3"});
    world.connect("a", 4);
    CHECK(world.resync(4, {has({1, 0, 1}, "running")}) == Lines{"1.0#1 kill"});
    world.connect("b", 5);
    CHECK(world.resync(5, {has({1, 0, 2}, "ended")}) == Lines{"1.0#2 adopt"});
}

TEST_CASE("stop: the task runs again only once the lease has certainly ended", "[jobs]") {
    JobsWorld world;
    world.worker("a", 1);
    start_with_lease(world);
    CHECK(node_job(*world.jobs.find(1), "amd64").stop_after_seconds < 60 * 0.96);
    world.worker("b", 2);
    world.beat({2});
    world.disconnect(1);
    world.pass(59s);
    world.place();
    CHECK(world.effects().empty());
    world.pass(2s);
    world.place();
    CHECK(world.effects() == Lines{"task 1.0 [2@b]", "start 1.0#2 on 2"});
}

TEST_CASE("stop: a job that was cancelled on a lost node is over once the lease is", "[jobs]") {
    JobsWorld world;
    world.worker("a", 1);
    start_with_lease(world);
    world.worker("b", 2);
    world.beat({2});
    const bool lost_first = GENERATE(true, false);
    if (!lost_first) world.cancel(1);
    world.disconnect(1);
    world.pass(30s);
    if (lost_first) world.cancel(1);
    Effects effects;
    auto& job = *world.jobs.find(1);
    CHECK_FALSE(job.ended());
    CHECK(world.jobs.retry(world.now, job, {}, true, effects) == 0);
    world.pass(31s);
    CHECK(world.state(1) == "cancelled");
    CHECK(world.jobs.retry(world.now, job, {TaskState::cancelled}, true, effects) == 1);
}

TEST_CASE("stop: a node that comes back in time keeps its task, and the old deadline is void",
          "[jobs]") {
    JobsWorld world;
    world.worker("a", 1);
    world.worker("b", 2, 0);
    start_with_lease(world);
    world.beat({});
    world.disconnect(1);
    world.pass(40s);
    world.connect("a", 3);
    CHECK(world.resync(3, {has({1, 0, 1}, "running")}) == Lines{"1.0#1 adopt"});
    world.disconnect(3);
    world.pass(30s);
    CHECK(world.jobs.find(1)->active.at(0).live.size() == 1);
    world.pass(31s);
    CHECK(world.jobs.find(1)->active.at(0).live.empty());
}

TEST_CASE("What a node does not list after its return is run again at once", "[jobs]") {
    JobsWorld world;
    world.worker("a", 1);
    world.submit(world.spec());
    world.place();
    world.disconnect(1);
    world.connect("a", 2);
    CHECK(world.resync(2, {}).empty());
    CHECK(world.effects() == Lines{"task 1.0 []"});
    world.place();
    CHECK(world.effects() == Lines{"task 1.0 [2@a]", "start 1.0#2 on 2"});
}

TEST_CASE("A task that takes nodes with it is stopped as poison", "[jobs]") {
    JobsWorld world;
    world.worker("a", 1);
    world.worker("b", 2);
    world.beat({1, 2});
    world.submit(world.spec());
    for (int death = 1; death <= limits::poison_deaths; ++death) {
        world.place();
        REQUIRE(world.jobs.find(1)->active.size() == 1);
        const auto& attempt = world.jobs.find(1)->active.at(0).live.front();
        const SessionId session = attempt.node == "a" ? 1 : 2;
        world.ended(session, {1, 0, death}, 0, "runner");
        if (death < limits::poison_deaths) {
            CHECK(world.state(1) == "queued");
            world.pass(1s);
        }
    }
    CHECK(world.state(1) == "failed");
}

TEST_CASE("A task that only one node refuses waits until that node can run it", "[jobs]") {
    JobsWorld world;
    world.worker("a", 1);
    world.beat({1});
    world.submit(world.spec());
    for (int refusal = 1; refusal <= 2 * limits::poison_deaths; ++refusal) {
        world.place();
        world.ended(1, {1, 0, refusal}, 0, "node");
        CHECK(world.state(1) == "queued");
        world.place();
        CHECK(world.effects().empty());  // not at once
        world.pass(limits::retry_max);
    }
    CHECK(world.cluster.find("a")->record.quarantine.empty());
    world.place();
    world.ended(1, {1, 0, 2 * limits::poison_deaths + 1});
    CHECK(world.state(1) == "done");
}

TEST_CASE("A node that refuses task after task is broken", "[jobs]") {
    JobsWorld world;
    world.worker("a", 1);
    world.beat({1});
    world.submit(world.spec("0-9"));
    for (int task = 0; task < limits::quarantine_failures; ++task) {
        CHECK(world.cluster.find("a")->record.quarantine.empty());
        world.place();
        world.ended(1, {1, task, 1}, 0, "node");
    }
    CHECK_FALSE(world.cluster.find("a")->record.quarantine.empty());
    CHECK(world.jobs.find(1)->failed() == 0);
}

TEST_CASE("A task that node after node refuses is stopped, and no node is blamed", "[jobs]") {
    JobsWorld world;
    for (SessionId session = 1; session <= limits::poison_deaths; ++session)
        world.worker("node" + std::to_string(session), session);
    world.beat({1, 2, 3});
    world.submit(world.spec());
    for (int refusal = 1; refusal <= limits::poison_deaths; ++refusal) {
        CHECK(world.state(1) == "queued");
        world.place();
        const auto& attempt = world.jobs.find(1)->active.at(0).live.front();
        world.ended(attempt.node.back() - '0', {1, 0, refusal}, 0, "node");
        world.pass(limits::retry_first);
    }
    CHECK(world.state(1) == "failed");
    for (const auto& [id, worker] : world.jobs.workers())
        CHECK(worker.node->record.quarantine.empty());
}

TEST_CASE("Loss does not consume retries", "[jobs]") {
    JobsWorld world;
    world.worker("a", 1);
    world.submit(world.spec());
    world.place();
    for (SessionId session = 2; session < 8; ++session) {
        world.disconnect(session - 1);
        world.connect("a", session);
        world.resync(session, {});
        world.place();
    }
    CHECK(world.state(1) == "running");
    world.ended(7, {1, 0, 7}, 0);
    CHECK(world.state(1) == "done");
}

TEST_CASE("A node on which tasks fail that succeed elsewhere gets no more work", "[jobs]") {
    JobsWorld world;
    world.worker("a", 1);
    world.worker("b", 2);
    world.beat({1, 2});
    auto spec = world.spec("1-30");
    spec.retries = 2;
    spec.on_disconnect = "stop";
    world.submit(spec);
    for (int round = 0; round < 40 && world.state(1) != "done"; ++round) {
        world.place();
        const auto active = world.jobs.find(1)->active;
        for (const auto& [position, task] : active)
            for (const auto& attempt : task.live)
                world.ended(attempt.node == "a" ? 1 : 2, {1, position + 1, attempt.number},
                            attempt.node == "a" ? 1 : 0);
        world.pass(1s);
    }
    CHECK(world.state(1) == "done");
    CHECK_FALSE(world.cluster.find("a")->record.quarantine.empty());
    CHECK(world.jobs.counters().quarantines == 1);
}

TEST_CASE("After a master restart everything is as it was", "[jobs]") {
    JobsWorld before;
    before.worker("a", 1, 2);
    auto spec = before.spec("1-5");
    before.submit(spec);
    JobsWorld after;
    after.connect("a", 9);
    after.disconnect(9);
    JobStatus status;
    status.id = 1;
    status.submitter = "ann";
    status.first = 1;
    status.size = 5;
    after.jobs.restore(status, std::make_shared<const JobSpec>(spec),
                       {TaskState::done, TaskState::queued, TaskState::failed});
    TaskRecord record;
    record.job = 1;
    record.position = 1;
    record.last_attempt = 3;
    record.live = {{3, "a", 0}};
    after.jobs.restore(record);
    Effects effects;
    after.jobs.restored(after.now, effects);
    CHECK(effects.empty());
    const auto& job = *after.jobs.find(1);
    CHECK(job.count(TaskState::done) == 1);
    CHECK(job.count(TaskState::failed) == 1);
    CHECK(job.count(TaskState::running) == 1);
    CHECK(job.count(TaskState::queued) == 2);
    after.connect("a", 1, 2);
    CHECK(after.resync(1, {has({1, 2, 3}, "running"), has({1, 2, 2}, "ended"),
                           has({1, 1, 1}, "running"), has({8, 1, 1}, "running")}) ==
          Lines{"1.2#3 adopt", "1.2#2 ack", "1.1#1 kill", "8.1#1 kill"});
    after.place();
    CHECK(after.effects() ==
          Lines{"task 1.3 [1@a]", "start 1.4#1 on 1", "task 1.4 [1@a]", "start 1.5#1 on 1 ahead"});
}

TEST_CASE("After a restored backup no attempt number is given again", "[jobs]") {
    JobsWorld world(3, 2000);
    world.worker("a", 1);
    CHECK(world.submit(world.spec()) == 2000);
    world.place();
    CHECK(world.effects() == Lines{"task 2000.0 [2000001@a]", "start 2000.0#2000001 on 1"});
}

TEST_CASE("A task that was cancelled by itself does not run again, whatever happens", "[jobs]") {
    JobsWorld world;
    world.worker("a", 1, 2);
    world.submit(world.spec("1-2"));
    world.place();
    world.cancel_task(1, 0);
    CHECK(world.effects() == Lines{"stop 1.1#1 on 1: cancelled", "task 1.0 [1@a] cancelled"});
    SECTION("its node is lost") {
        world.disconnect(1);
        world.pass(20s);
        CHECK(world.effects() == Lines{"drop task 1.0", "result 1.0 cancelled #1", "(attempt_lost)",
                                       "task 1.1 [1@a]"});
    }
    SECTION("its node forgot it") {
        world.disconnect(1);
        world.connect("a", 2, 2);
        world.resync(2, {has({1, 2, 1}, "running")});
        CHECK(world.effects() == Lines{"drop task 1.0", "result 1.0 cancelled #1"});
    }
    SECTION("it is killed by its end") {
        world.ended(1, {1, 1, 1}, 0, "killed");
        CHECK(world.effects() ==
              Lines{"drop task 1.0", "result 1.0 cancelled #1", "ack 1.1#1 on 1"});
    }
    SECTION("its runner dies") {
        world.ended(1, {1, 1, 1}, 0, "runner");
        CHECK(world.effects() ==
              Lines{"drop task 1.0", "result 1.0 cancelled #1", "ack 1.1#1 on 1"});
    }
    world.place();
    CHECK(world.jobs.find(1)->count(TaskState::cancelled) == 1);
}

TEST_CASE("After a master restart what was cancelled is told to end once more", "[jobs]") {
    JobsWorld world;
    world.connect("a", 9, 2);
    world.disconnect(9);
    const bool whole_job = GENERATE(true, false);
    JobStatus status;
    status.id = 1;
    status.submitter = "ann";
    status.cancelled = whole_job;
    world.jobs.restore(status, std::make_shared<const JobSpec>(world.spec()), {});
    TaskRecord record;
    record.job = 1;
    record.last_attempt = 1;
    record.cancelled = !whole_job;
    record.live = {{1, "a", 0}};
    world.jobs.restore(record);
    Effects effects;
    world.jobs.restored(world.now, effects);
    CHECK(effects.empty());
    world.connect("a", 1, 2);
    SECTION("it still runs") {
        CHECK(world.resync(1, {has({1, 0, 1}, "running")}) == Lines{"1.0#1 adopt"});
        CHECK(world.effects() == Lines{"stop 1.0#1 on 1: cancelled"});
    }
    SECTION("it has ended already") {
        CHECK(world.resync(1, {has({1, 0, 1}, "ended")}) == Lines{"1.0#1 adopt"});
        CHECK(world.effects().empty());
    }
    world.ended(1, {1, 0, 1}, 0, "killed");
    CHECK(world.effects() == Lines{"drop task 1.0", "result 1.0 cancelled #1",
                                   "job 1 ended" + std::string(whole_job ? " cancelled" : ""),
                                   "ended 1", "(job_ended)", "ack 1.0#1 on 1"});
}

TEST_CASE("A node that was lost is not blamed for what then succeeds elsewhere", "[jobs]") {
    JobsWorld world;
    world.worker("a", 1, 4);
    world.submit(world.spec("1-4"));
    world.place();
    world.worker("b", 2, 4);
    world.beat({2});
    world.disconnect(1);
    world.pass(20s);
    world.place();
    for (std::int64_t task = 1; task <= 4; ++task) world.ended(2, {1, task, 2});
    CHECK(world.state(1) == "done");
    CHECK(world.cluster.find("a")->record.quarantine.empty());
}

TEST_CASE("A failure counts although a lost node may still have an attempt", "[jobs]") {
    JobsWorld world;
    world.worker("a", 1);
    world.submit(world.spec());
    world.place();
    world.worker("b", 2);
    world.beat({2});
    world.disconnect(1);
    world.pass(20s);
    world.place();
    world.ended(2, {1, 0, 2}, 1);
    CHECK(world.state(1) == "failed");
}

TEST_CASE("A node that comes back keeps what was to run elsewhere and has not begun", "[jobs]") {
    JobsWorld world;
    world.worker("a", 1);
    world.submit(world.spec());
    world.place();
    world.disconnect(1);
    world.pass(20s);
    CHECK(world.state(1) == "queued");
    world.connect("a", 2);
    CHECK(world.resync(2, {has({1, 0, 1}, "running")}) == Lines{"1.0#1 adopt"});
    CHECK(world.state(1) == "running");
    world.worker("b", 3);
    world.place();
    CHECK(world.effects().empty());
}

TEST_CASE("A task that takes nodes with it is poison also where they need long to come back",
          "[jobs]") {
    JobsWorld world;
    world.worker("a", 1);
    world.submit(world.spec());
    SessionId session = 1;
    for (int death = 1; death <= limits::poison_deaths; ++death) {
        world.place();
        const auto number = world.jobs.find(1)->active.at(0).live.back().number;
        world.jobs.on_started(world.now, session, {{1, 0, number}});
        world.disconnect(session);
        world.pass(30s);
        world.connect("a", ++session);
        world.resync(session, {});
        world.beat({session});
        if (death < limits::poison_deaths) world.pass(1s);
    }
    CHECK(world.state(1) == "failed");
}

TEST_CASE("stop: a node that comes back without the task sets it free at once", "[jobs]") {
    JobsWorld world;
    world.worker("a", 1);
    auto spec = world.spec();
    spec.on_disconnect = "stop";
    world.submit(spec);
    world.place();
    world.disconnect(1);
    world.pass(30s);
    world.connect("a", 2);
    world.resync(2, {});
    world.place();
    CHECK(world.effects() == Lines{"task 1.0 [2@a]", "start 1.0#2 on 2"});
}

TEST_CASE("Attempts on lost nodes do not count for the limit of an array", "[jobs]") {
    JobsWorld world;
    world.worker("a", 1, 2);
    world.submit(world.spec("1-3%2"));
    world.place();
    world.worker("b", 2, 2);
    world.beat({2});
    world.disconnect(1);
    world.pass(20s);
    world.place();
    CHECK(world.effects() == Lines{"task 1.0 [1@a 2@b]", "start 1.1#2 on 2", "task 1.1 [1@a 2@b]",
                                   "start 1.2#2 on 2"});
    // They count again where they are found to run.
    world.connect("a", 3, 2);
    world.resync(3, {has({1, 1, 1}, "running"), has({1, 2, 1}, "running")});
    CHECK(world.jobs.find(1)->live_attempts() == 4);
}

TEST_CASE("An attempt that a node lists twice takes its room once", "[jobs]") {
    JobsWorld world;
    world.worker("a", 1, 2);
    world.submit(world.spec("1-2"));
    world.place();
    world.disconnect(1);
    world.connect("a", 2, 2);
    world.resync(2, {has({1, 1, 1}, "running"), has({1, 1, 1}, "waiting"), has({1, 2, 1}, "ended"),
                     has({1, 2, 1}, "running")});
    CHECK(world.jobs.worker("a")->free_milli() == 1000);
    world.ended(2, {1, 1, 1});
    world.ended(2, {1, 2, 1});
    CHECK(world.jobs.worker("a")->free_milli() == 2000);
    CHECK_FALSE(world.jobs.backlog());
}

TEST_CASE("A retract that nothing answers does not keep a node without a queue for ever",
          "[jobs]") {
    JobsWorld world;
    world.worker("a", 1);
    world.submit(world.spec("1-2"));
    world.place();
    REQUIRE(world.jobs.worker("a")->ahead.size() == 1);
    Effects effects;
    world.jobs.hold(world.now, *world.jobs.find(1), true, effects);
    CHECK(world.jobs.worker("a")->retracting == 1);
    // It had been launched when the order came.
    world.jobs.on_started(world.now, 1, {{1, 2, 1}});
    CHECK(world.jobs.worker("a")->retracting == 0);
}
