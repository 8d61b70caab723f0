#include "test/unit/jobs_world.hpp"

/// Which of the nodes that fit gets a task.
using namespace rpic;
using namespace rpic::test;

namespace {

/// Of such tasks none waits on a node.
JobSpec leased(const std::string& array = "") {
    auto spec = JobsWorld::spec(array);
    spec.on_disconnect = "stop";
    return spec;
}

/// The names of the nodes to which the last event has sent tasks, in order.
Lines started_on(const JobsWorld& world) {
    Lines nodes;
    for (const auto& effect : world.raw_effects())
        if (const auto* order = std::get_if<OrderStart>(&effect))
            nodes.push_back(world.cluster.find_session(order->session)->record.name);
    return nodes;
}

void has_load(JobsWorld& world, SessionId session, double load) {
    Vitals vitals;
    vitals.load_1m = load;
    Effects effects;
    world.cluster.on_vitals(world.at(), session, vitals, effects);
}

/// Nodes "one" and "two" of one cpu each, and a job whose tasks take 1 s on the one and `times`
/// as long on the other: six of them have run on each.
JobId measured(JobsWorld& world, double times, const std::string& array) {
    world.worker("one", 1);
    world.worker("two", 2);
    world.beat({1, 2});
    const auto job = world.submit(leased(array));
    for (int i = 0; i < 6; ++i) {
        world.place();
        for (const auto& effect : Effects(world.raw_effects()))
            if (const auto* order = std::get_if<OrderStart>(&effect))
                world.ended(order->session, {order->job, order->order.task, order->order.attempt},
                            0, "exited", "", order->session == 1 ? 1 : times);
    }
    return job;
}

}  // namespace

TEST_CASE("Work goes where the real load is low", "[jobs]") {
    JobsWorld world;
    world.worker("a", 1, 2);
    world.worker("b", 2, 2);
    has_load(world, 1, 1.5);
    has_load(world, 2, 0.1);
    world.submit(leased("1-2"));
    world.place();
    CHECK(started_on(world) == Lines{"b", "b"});
    // What the cluster itself runs there is no foreign load.
    has_load(world, 1, 0.5);
    has_load(world, 2, 2.5);
    world.ended(2, {1, 1, 1});
    world.ended(2, {1, 2, 1});
    has_load(world, 2, 0);
    world.submit(leased("1-2"));
    world.place();
    CHECK(started_on(world) == Lines{"b", "a"});
}

TEST_CASE("With equal fit the faster node gets the task", "[jobs]") {
    const double times = GENERATE(3.0, 0.3);  // the one or the other, since names order nodes, too
    const std::string faster = times > 1 ? "one" : "two";
    JobsWorld world;
    world.cancel(measured(world, times, "1-1000"));
    for (int i = 0; i < 3; ++i) {
        const auto job = world.submit(leased());
        world.place();
        CHECK(started_on(world) == Lines{faster});
        world.ended(times > 1 ? 1 : 2, {job, 0, 1});
    }
}

TEST_CASE("Very short tasks say nothing about the speed of a node", "[jobs]") {
    JobsWorld world;
    measured(world, 0.01, "1-1000");
    CHECK(world.jobs.worker("two")->speed == 1);
}

TEST_CASE("The last task of a job waits for a faster node that is about to be free", "[jobs]") {
    JobsWorld world;
    const auto job = measured(world, 5, "1-14");
    world.place();
    CHECK(started_on(world) == Lines{"one"});
    CHECK(world.jobs.find(job)->waiting_count() == 1);
    CHECK(world.jobs.explain(world.now, *world.jobs.find(job)).reason.find("faster node") !=
          std::string::npos);
    world.pass(1s);
    world.place();
    CHECK(started_on(world).empty());

    SECTION("which then gets it") {
        world.ended(1, {job, 13, 1});
        world.place();
        CHECK(started_on(world) == Lines{"one"});
    }
    SECTION("but not for one that takes longer than was expected") {
        world.pass(10s);
        world.place();
        CHECK(started_on(world) == Lines{"two"});
    }
}

TEST_CASE("A job that has waited for long moves up", "[jobs]") {
    JobsWorld world;
    world.worker("a", 1);
    world.beat({1});
    const auto running = world.submit(leased());
    world.place();
    const auto patient = world.submit(leased());
    world.pass(9min);
    auto better = leased();
    better.priority = 1;
    const auto urgent = world.submit(better);
    world.ended(1, {running, 0, 1});
    world.place();
    CHECK(world.state(urgent) == "running");
    // Ten minutes are worth one priority; then the older one goes first.
    const auto another = world.submit(better);
    world.pass(11min);
    world.ended(1, {urgent, 0, 1});
    world.place();
    CHECK(world.state(patient) == "running");
    CHECK(world.state(another) == "queued");
}

TEST_CASE("explain names the node that lacks least", "[jobs]") {
    JobsWorld world;
    world.worker("a", 1, 1);
    world.worker("b", 2, 8);
    world.worker("c", 3, 4);
    const auto nearest = [&](const JobSpec& spec) {
        const auto job = world.submit(spec);
        return world.jobs.explain(world.now, *world.jobs.find(job)).nearest;
    };
    auto large = leased();
    large.cpus = 16;
    CHECK(nearest(large) == "b");
    large.resources["camera"] = 1;  // nobody has one
    CHECK(nearest(large) == "b");
    auto where = leased();
    where.cpus = 6;
    where.where = "name==c";
    CHECK(nearest(where) == "c");
    // Among those that are busy: the one with most room.
    auto half = leased();
    half.cpus = 5;
    world.submit(half);
    world.place();
    half.cpus = 4;
    world.submit(half);
    world.place();
    half.cpus = 2;
    world.submit(half);
    world.place();
    half.cpus = 4;
    CHECK(nearest(half) == "b");
}

TEST_CASE("explain says that a node is kept free for another job", "[jobs]") {
    JobsWorld world;
    world.worker("a", 1, 2);
    world.beat({1});
    world.submit(leased());
    world.place();
    auto large = leased();
    large.cpus = 2;
    const auto patient = world.submit(large);
    world.pass(31s);
    world.place();
    const auto small = world.submit(leased());
    world.place();
    CHECK(world.state(small) == "queued");
    const auto answer = world.jobs.explain(world.now, *world.jobs.find(small));
    CHECK(answer.reason == "it fits, but waits; a: it is kept free for job " +
                               std::to_string(patient) + ", which has waited for longer");
    CHECK(world.jobs.explain(world.now, *world.jobs.find(patient)).reason.starts_with("every "));
}

TEST_CASE("explain says that a task avoids the node where it failed", "[jobs]") {
    JobsWorld world;
    world.worker("a", 1);
    world.worker("b", 2);
    world.beat({1, 2});
    auto elsewhere = leased();
    elsewhere.where = "name==b";
    world.submit(elsewhere);
    auto spec = leased();
    spec.retries = 1;
    const auto job = world.submit(spec);
    world.place();
    world.ended(1, {job, 0, 1}, 1);
    world.pass(2s);
    world.place();
    CHECK(started_on(world).empty());
    CHECK(world.jobs.explain(world.now, *world.jobs.find(job)).reason ==
          "it fits, but waits; a: task 0 failed there and waits 10s for another node");
    world.pass(10s);
    world.place();
    CHECK(started_on(world) == Lines{"a"});
}
