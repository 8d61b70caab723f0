#include "common/at_most.hpp"

#include <catch2/catch.hpp>

using namespace rpic;

TEST_CASE("a count is bounded before it is narrowed") {
    CHECK(at_most(3, 10) == 3);
    CHECK(at_most(10, 10) == 10);
    CHECK(at_most(11, 10) == 10);
    CHECK(at_most(0, 10) == 0);
    // The low 32 bits of these are 0 and 1: all that a std::size_t of 32 bits keeps.
    CHECK(at_most(std::int64_t{1} << 32, 256) == 256);
    CHECK(at_most((std::int64_t{1} << 32) + 1, 256) == 256);
}
