#include <catch2/catch.hpp>

#include "test/unit/jobs_random_world.hpp"

using namespace rpic::test;

TEST_CASE("Whatever happens, no task is lost, and none has two results", "[jobs]") {
    for (std::uint64_t seed = 1; seed <= 60; ++seed) {
        int step = 0;
        std::string trouble;
        RandomWorld world(seed);
        try {
            for (step = 1; step <= 400; ++step) world.step();
            world.settle();
        } catch (const Broken& broken) {
            trouble = broken.what();
        }
        INFO("seed " << seed << ", step " << step << " (" << world.last << "): " << trouble);
        CHECK(trouble.empty());
    }
}
