#include <catch2/catch.hpp>

#include "common/limits.hpp"
#include "test/async/store_world.hpp"

using namespace rpic;
using test::get;
using test::StoreWorld;
using namespace std::string_view_literals;

namespace {

std::string item_text(Position position) {
    // Some are empty, some long, so that they lie anywhere in the parts that are read.
    if (position % 97 == 0) return {};
    return std::to_string(position) + std::string(static_cast<std::size_t>(position % 61), 'x');
}

std::string list_of(Position count) {
    std::string list;
    for (Position i = 0; i < count; ++i) list += item_text(i) + '\0';
    return list;
}

}  // namespace

TEST_CASE("items are read in any order") {
    constexpr Position count = 20'000;
    StoreWorld world;
    const auto blob = world.put_blob(list_of(count));
    std::vector<ItemRequest> requests;
    for (Position i = 0; i < 3000; ++i) requests.push_back({blob, i});
    for (Position i = 0; i < 3000; ++i) requests.push_back({blob, i * 7919 % count});
    for (const Position i : {0, 1023, 1024, 1025, 2047, 2048, 19'999, 0, 1024})
        requests.push_back({blob, i});
    const auto items = get(world.io, world.store->items(requests));
    REQUIRE(items.size() == requests.size());
    int wrong = 0;
    for (std::size_t i = 0; i < items.size(); ++i)
        wrong += items[i].text != item_text(requests[i].position) || !items[i].failure.empty();
    CHECK(wrong == 0);
}

TEST_CASE("a commit brings the items of its orders") {
    StoreWorld world;
    const auto blob = world.put_blob(list_of(10));
    const auto items = get(world.io, world.store->commit({test::new_job(1), test::begun(1, 3)},
                                                         {{blob, 3}, {blob, 5}}));
    REQUIRE(items.size() == 2);
    CHECK(items[0].text == item_text(3));
    CHECK(items[1].text == item_text(5));
    world.reopen();
    CHECK(world.contents.tasks.size() == 1);
}

TEST_CASE("what is no item is a failure in words") {
    StoreWorld world;
    const auto blob = world.put_blob(list_of(10));
    const auto cut = world.put_blob("a\0b"sv.substr(0, 3));
    const auto gone = std::string(64, 'e');
    const auto items = get(world.io, world.store->items({{blob, 10},
                                                         {blob, -1},
                                                         {blob, 1'000'000'000},
                                                         {cut, 1},
                                                         {gone, 0},
                                                         {"", 0},
                                                         {blob, 9}}));
    for (std::size_t i = 0; i < 6; ++i) {
        INFO(i);
        CHECK(items[i].text.empty());
        CHECK_FALSE(items[i].failure.empty());
    }
    CHECK(items[6].text == item_text(9));
}

TEST_CASE("items of many lists at once") {
    StoreWorld world;
    std::vector<ItemRequest> requests;
    for (int list = 0; list < 40; ++list)
        requests.push_back({world.put_blob("a" + std::to_string(list) + '\0' + "b" + '\0'), 0});
    for (int round = 0; round < 2; ++round) {
        const auto items = get(world.io, world.store->items(requests));
        for (std::size_t i = 0; i < items.size(); ++i)
            CHECK(items[i].text == "a" + std::to_string(i));
    }
}

TEST_CASE("items are counted, and those that are too much are named") {
    StoreWorld world;
    const auto count = [&](std::string_view list) {
        return get(world.io, world.store->count_items(world.put_blob(list)));
    };
    CHECK(count("").count == 0);
    CHECK(count(""sv).failure.empty());
    CHECK(count("\0"sv).count == 1);
    CHECK(count("a\0\0b\0"sv).count == 3);
    CHECK_THAT(count("a\0b"sv).failure, Catch::Matchers::Contains("not ended"));

    // Long items across the parts that are read at once.
    const std::string longest = std::string(limits::item_bytes, 'x') + '\0';
    std::string list;
    for (int i = 0; i < 100; ++i) list += longest;
    CHECK(count(list).count == 100);
    CHECK(count(list).failure.empty());
    CHECK_THAT(count(list + 'x' + longest).failure, Catch::Matchers::StartsWith("item 100 is"));
    CHECK_THAT(count(std::string(limits::tasks_per_job + 1, '\0')).failure,
               Catch::Matchers::StartsWith("there are more than"));
    CHECK(count(std::string(limits::tasks_per_job, '\0')).count == limits::tasks_per_job);
    CHECK_FALSE(get(world.io, world.store->count_items(std::string(64, 'e'))).failure.empty());
}
