#include "master/core/health.hpp"

#include <catch2/catch.hpp>

#include "test/unit/cluster_world.hpp"
#include "test/unit/jobs_world.hpp"

using namespace rpic;
using namespace rpic::test;
using namespace std::chrono_literals;

namespace {

constexpr std::int64_t mebibyte = 1024 * 1024;
constexpr auto weak = "under-voltage: the power supply or its cable is too weak";

Vitals warm(double celsius) {
    Vitals vitals;
    vitals.temperature_c = celsius;
    return vitals;
}

Vitals power(bool undervoltage) {
    Vitals vitals;
    vitals.undervoltage = undervoltage;
    return vitals;
}

/// A node with limits, whose clock the test turns.
struct Patient {
    Health::Change told(const Vitals& vitals, Duration later = 5s) {
        now += later;
        return health.update(now, vitals, limits);
    }
    bool works() const { return health.no_work().empty(); }

    Instant now{1000s};
    HealthLimits limits;
    Health health;
};

}  // namespace

TEST_CASE("a machine that tells nothing is well") {
    Patient patient;
    CHECK(patient.told({}) == Health::Change::none);
    Vitals fine = warm(79.9);
    fine.undervoltage = fine.throttled = fine.disk_read_only = fine.frequency_capped = false;
    fine.disk_errors = 0;
    fine.clock_set = false;  // nobody needs one
    CHECK(patient.told(fine) == Health::Change::none);
    CHECK(patient.health.reasons().empty());
    CHECK(patient.works());
}

TEST_CASE("a hot node gets no work until it has cooled down") {
    Patient patient;
    CHECK(patient.told(warm(69.9)) == Health::Change::none);
    CHECK_FALSE(patient.health.weighs_less());
    CHECK(patient.told(warm(70)) == Health::Change::none);
    CHECK(patient.health.weighs_less());
    CHECK(patient.works());
    CHECK(patient.told(warm(80)) == Health::Change::unwell);
    CHECK_FALSE(patient.works());
    CHECK(patient.health.reasons() == Lines{"hot: 80 C"});
    CHECK(patient.told(warm(84.6)) == Health::Change::none);
    CHECK(patient.health.reasons() == Lines{"hot: 85 C"});
    CHECK(patient.told(warm(75)) == Health::Change::none);
    CHECK(patient.health.no_work() == "hot: 75 C, has to cool below 75 C");
    CHECK(patient.told(warm(74.9)) == Health::Change::well);
    CHECK(patient.works());
    CHECK(patient.health.reasons().empty());
    CHECK(patient.told(warm(79)) == Health::Change::none);
    CHECK(patient.works());

    patient.told(warm(90));
    CHECK(patient.told({}) == Health::Change::well);  // its sensor has gone
}

TEST_CASE("under-voltage is remembered for a while") {
    Patient patient;
    CHECK(patient.told(power(true)) == Health::Change::unwell);
    CHECK(patient.health.no_work() == weak);
    CHECK(patient.told(power(false), limits::unwell_kept - 1ns) == Health::Change::none);
    CHECK_FALSE(patient.works());
    CHECK(patient.told(power(true), 0s) == Health::Change::none);  // again
    CHECK(patient.told({}, limits::unwell_kept - 1ns) == Health::Change::none);
    CHECK(patient.health.reasons() == Lines{weak});
    CHECK(patient.told(power(false), 1ns) == Health::Change::well);
    CHECK(patient.works());
}

TEST_CASE("what weighs less, and is no reason to wait") {
    Patient patient;
    Vitals vitals;
    vitals.throttled = true;
    CHECK(patient.told(vitals) == Health::Change::unwell);
    CHECK(patient.works());
    CHECK(patient.health.weighs_less());
    CHECK(patient.health.reasons() == Lines{"throttled by its firmware"});
    vitals.throttled = false;
    vitals.frequency_capped = true;  // perhaps its owner wants it so
    CHECK(patient.told(vitals, limits::unwell_kept) == Health::Change::well);
    CHECK(patient.health.weighs_less());
    CHECK(patient.health.reasons().empty());

    vitals = {};
    vitals.disk_read_only = true;
    vitals.disk_errors = 1;
    CHECK(patient.told(vitals) == Health::Change::unwell);
    CHECK(patient.works());
    CHECK(patient.health.reasons() ==
          Lines{"its file system is read-only: the card or disk may be broken",
                "its file system has had 1 error: check the card or disk"});
    vitals.disk_read_only = false;
    vitals.disk_errors = 12;
    CHECK(patient.told(vitals) == Health::Change::none);  // less than before, but not well
    CHECK(patient.health.reasons() ==
          Lines{"its file system has had 12 errors: check the card or disk"});
    CHECK_FALSE(patient.health.weighs_less());
}

TEST_CASE("a disk that is almost full") {
    Patient patient;
    Vitals vitals;
    vitals.disk_bytes = 30'000 * mebibyte;
    const auto with_free = [&](std::int64_t bytes) {
        vitals.disk_free_bytes = bytes;
        return patient.told(vitals);
    };
    CHECK(with_free(256 * mebibyte) == Health::Change::none);
    CHECK(with_free(256 * mebibyte - 1) == Health::Change::unwell);
    CHECK(patient.health.reasons() == Lines{"its disk is almost full: 256M free"});
    CHECK(patient.works());
    CHECK(patient.health.weighs_less());
    CHECK(with_free(320 * mebibyte - 1) == Health::Change::none);
    CHECK(with_free(320 * mebibyte) == Health::Change::well);
    // Small disks: a twentieth.
    vitals.disk_bytes = 2'000 * mebibyte;
    CHECK(with_free(100 * mebibyte) == Health::Change::none);
    CHECK(with_free(99 * mebibyte) == Health::Change::unwell);
    vitals.disk_bytes.reset();
    CHECK(patient.told(vitals) == Health::Change::well);
}

TEST_CASE("other limits") {
    Patient patient;
    patient.limits = {60, 50, 40, 1000 * mebibyte};
    patient.told(warm(40));
    CHECK(patient.health.weighs_less());
    CHECK(patient.told(warm(60)) == Health::Change::unwell);
    patient.told(warm(50));
    CHECK(patient.health.no_work() == "hot: 50 C, has to cool below 50 C");
    CHECK(patient.told(warm(49)) == Health::Change::well);
    Vitals vitals;
    vitals.disk_bytes = 100'000 * mebibyte;
    vitals.disk_free_bytes = 999 * mebibyte;
    CHECK(patient.told(vitals) == Health::Change::unwell);
}

TEST_CASE("people are told when a node becomes unwell, and when it is well again") {
    World world;
    world.join(1, hello_of("pi", "board 1"));
    world.key_stored(1);
    auto vitals = warm(85);
    world.vitals(1, vitals);
    CHECK(world.effects() == Lines{"warn: node pi is unwell: hot: 85 C"});
    CHECK(world.happened() == Lines{"node_unwell pi"});
    CHECK(view_of(world.node("pi"), world.now).unwell == Lines{"hot: 85 C"});
    world.now += 5s;
    vitals.temperature_c = 86;
    world.vitals(1, vitals);
    CHECK(world.happened().empty());  // nothing new
    vitals.undervoltage = true;
    world.vitals(1, vitals);
    CHECK(world.effects() ==
          Lines{std::string("warn: node pi is unwell: ") + weak + "; hot: 86 C"});
    world.now += limits::unwell_kept;
    world.vitals(1, warm(50));
    CHECK(world.effects() == Lines{"info: node pi is well again"});
    CHECK(world.happened() == Lines{"node_well pi"});
    CHECK(view_of(world.node("pi"), world.now).unwell.empty());
}

TEST_CASE("work goes to nodes that are well") {
    JobsWorld world;
    world.worker("hot", 1);
    world.worker("warm", 2);
    world.worker("cool", 3);
    const auto feels = [&](SessionId session, double celsius) {
        Effects effects;
        world.cluster.on_vitals(world.at(), session, warm(celsius), effects);
    };
    const auto orders = [&] {
        Lines nodes;
        for (const auto& effect : world.raw_effects())
            if (const auto* order = std::get_if<OrderStart>(&effect))
                nodes.push_back(world.cluster.find_session(order->session)->record.name);
        return nodes;
    };
    feels(1, 81);
    feels(2, 72);
    feels(3, 40);
    auto spec = JobsWorld::spec("1-3");
    spec.on_disconnect = "stop";  // of such tasks none waits on a node
    const auto job = world.submit(spec);
    world.place();
    CHECK(orders() == Lines{"cool", "warm"});
    const auto waits = world.jobs.explain(world.now, *world.jobs.find(job));
    for (const auto& fit : waits.nodes)
        if (fit.node == "hot") CHECK(fit.reason == "it is unwell: hot: 81 C");
    feels(1, 76);
    world.place();
    CHECK(orders().empty());
    feels(1, 60);
    world.place();
    CHECK(orders() == Lines{"hot"});
}
