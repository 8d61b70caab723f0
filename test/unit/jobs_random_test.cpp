#include <catch2/catch.hpp>

#include "test/unit/jobs_random_world.hpp"

using namespace rpic::test;

namespace {

#ifdef __SANITIZE_ADDRESS__
constexpr std::uint64_t worlds = 30;  // unoptimised, each takes thirty times as long
#else
constexpr std::uint64_t worlds = 120;
#endif

}  // namespace

TEST_CASE("Whatever happens, no task is lost, and none has two results", "[jobs]") {
    for (std::uint64_t seed = 1; seed <= worlds; ++seed) {
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
