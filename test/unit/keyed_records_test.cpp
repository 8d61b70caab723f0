#include "slave/runner/keyed_records.hpp"

#include <catch2/catch.hpp>

#include "test/temporary_folder.hpp"

using namespace rpic;

namespace {

AttemptKey attempt(std::int64_t number) {
    return {1, 0, number};
}

}  // namespace

TEST_CASE("marks stay with their records, and go with them", "[keyed_records]") {
    const test::TemporaryFolder folder;
    const auto path = folder.path() / "spool";
    {
        KeyedRecords records(path);
        for (std::int64_t i = 1; i <= 4; ++i) REQUIRE(records.add(attempt(i), "x"));
        records.remove(attempt(1));
        CHECK(records.mark({attempt(2), attempt(3), attempt(9)}));
        records.remove(attempt(3));
        CHECK(records.marked(attempt(2)));
        CHECK_FALSE(records.marked(attempt(9)));
    }
    const KeyedRecords again(path);
    CHECK(again.keys() == std::set<AttemptKey>{attempt(2), attempt(4)});
    CHECK(again.marked(attempt(2)));
    CHECK_FALSE(again.marked(attempt(4)));
    CHECK(again.read(attempt(2)) == "x");
}
