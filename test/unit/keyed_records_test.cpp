#include "slave/runner/keyed_records.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "common/errors.hpp"
#include "common/limits.hpp"
#include "test/temporary_folder.hpp"

using namespace rpic;

namespace {

AttemptKey kept_key(std::int64_t number) {
    return {1, 0, number};
}

const std::string kept_record(64 * 1024, 'r');
constexpr std::int64_t kept_count = 2 * limits::spool_bytes / (64 * 1024);

}  // namespace

TEST_CASE("marks stay with their records, and go with them", "[keyed_records]") {
    const test::TemporaryFolder folder;
    const auto path = folder.path() / "spool";
    {
        KeyedRecords records(path);
        for (std::int64_t i = 1; i <= 4; ++i) REQUIRE(records.add(kept_key(i), "x"));
        records.remove(kept_key(1));
        CHECK(records.mark({kept_key(2), kept_key(3), kept_key(9)}));
        records.remove(kept_key(3));
        CHECK(records.marked(kept_key(2)));
        CHECK_FALSE(records.marked(kept_key(9)));
    }
    const KeyedRecords again(path);
    CHECK(again.keys() == std::set<AttemptKey>{kept_key(2), kept_key(4)});
    CHECK(again.marked(kept_key(2)));
    CHECK_FALSE(again.marked(kept_key(4)));
    CHECK(again.read(kept_key(2)) == "x");
}

TEST_CASE("a large file that is mostly forgotten is made anew, and that is told",
          "[keyed_records]") {
    const test::TemporaryFolder folder;
    const auto path = folder.path() / "spool";
    {
        KeyedRecords records(path);
        for (std::int64_t i = 1; i <= kept_count; ++i)
            REQUIRE(records.add(kept_key(i), kept_record));
        CHECK(records.mark({kept_key(kept_count)}));
        records.remove(kept_key(1));
        CHECK_FALSE(records.write_removals());
        for (std::int64_t i = 2; i < kept_count - 1; ++i) records.remove(kept_key(i));
        CHECK(records.write_removals());
        CHECK(records.read(kept_key(kept_count)) == kept_record);
        CHECK(std::filesystem::file_size(path) < 3 * kept_record.size());
        records.remove(kept_key(kept_count - 1));
        CHECK_FALSE(records.write_removals());
    }
    const KeyedRecords again(path);
    CHECK(again.keys() == std::set<AttemptKey>{kept_key(kept_count)});
    CHECK(again.marked(kept_key(kept_count)));
    CHECK(again.read(kept_key(kept_count)) == kept_record);
}

TEST_CASE("records that cannot be read are not written anew as empty ones", "[keyed_records]") {
    const test::TemporaryFolder folder;
    const auto path = folder.path() / "spool";
    KeyedRecords records(path);
    for (std::int64_t i = 1; i <= kept_count; ++i) REQUIRE(records.add(kept_key(i), kept_record));
    for (std::int64_t i = 2; i <= kept_count; ++i) records.remove(kept_key(i));
    const int no_reader = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
    REQUIRE(::dup3(no_reader, records.descriptor(), O_CLOEXEC) >= 0);
    ::close(no_reader);
    CHECK_FALSE(records.write_removals());
    CHECK(records.contains(kept_key(1)));
    CHECK(records.read(kept_key(1)).empty());
}

TEST_CASE("a file that the disk does not give is not taken for one that was torn",
          "[keyed_records]") {
    // Nothing is mapped at its beginning, which reads as an error.
    CHECK_THROWS_WITH(KeyedRecords("/proc/self/mem"),
                      Catch::Contains("cannot read") && Catch::Contains("remove the file"));
}
