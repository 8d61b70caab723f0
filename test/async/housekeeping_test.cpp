#include <fcntl.h>
#include <sys/stat.h>

#include <catch2/catch.hpp>

#include "common/manifest.hpp"
#include "test/async/test_master.hpp"

using namespace rpic;
using test::noise;
using test::TestMaster;

namespace {

/// A master without peers, of which a test looks after the files.
struct House : TestMaster {
    template <class Work>
    void look_after(Work work) {
        auto beside = [&]() -> asio::awaitable<void> {
            co_await until_first_failure(context.store.run(), context.turns.run(), std::move(work));
        };
        test::run_all(io, beside());
    }

    asio::awaitable<JobId> submit(JobSpec spec) {
        spec.command = {"true"};
        Effects effects;
        const auto shared = std::make_shared<const JobSpec>(std::move(spec));
        const auto outcome = context.jobs.submit(context.moment(), shared, "ann", 0, effects);
        context.turns.add(std::move(effects));
        co_await context.turns.settled();
        co_return std::get<Jobs::Accepted>(outcome).job;
    }

    asio::awaitable<void> cancel(JobId id) {
        Effects effects;
        context.jobs.cancel(context.moment(), *context.jobs.find(id), "enough", effects);
        context.turns.add(std::move(effects));
        co_await context.turns.settled();
    }

    /// A list of one file with these bytes, both in the store.
    std::string put_list(const std::string& path, const std::string& bytes) {
        Manifest manifest;
        ManifestEntry entry;
        entry.path = path;
        entry.size = static_cast<std::int64_t>(bytes.size());
        entry.blob = context.blobs.put_bytes(bytes);
        manifest.entries.push_back(entry);
        return context.blobs.put_bytes(format_manifest(manifest));
    }

    void age(const std::string& blob, std::int64_t seconds) {
        const timespec past{static_cast<time_t>(wall_seconds() - seconds), 0};
        const timespec times[] = {past, past};
        REQUIRE(::utimensat(AT_FDCWD, context.blobs.path_of(blob).c_str(), times, 0) == 0);
    }

    std::set<std::string> kept() {
        std::set<std::string> blobs;
        for (const auto& info : context.blobs.list()) blobs.insert(info.blob);
        return blobs;
    }
};

}  // namespace

TEST_CASE("files that a job names stay, also those in its lists; looking is no use of them") {
    House house;
    const auto file = noise(5000, 1);
    const auto list = house.put_list("a", file);
    const auto input = house.context.blobs.put_bytes("a line\n");
    const auto unnamed = house.context.blobs.put_bytes("of nobody");
    // What looks like a list and is given as standard input is none.
    const auto likewise = house.put_list("b", noise(5000, 2));
    constexpr std::int64_t day = 24 * 3600;
    for (const auto& blob : house.kept()) house.age(blob, 40 * day);
    house.look_after([](House& h, std::string in, std::string first,
                        std::string second) -> asio::awaitable<void> {
        JobSpec one;
        one.in = {in};
        one.stdin_blob = first;
        JobSpec two;
        two.in = {in};
        two.stdin_blob = second;
        co_await h.submit(one);
        co_await h.submit(two);
        co_await forget_blobs(h.context, true);
    }(house, list, input, likewise));
    CHECK(house.kept() == std::set<std::string>{sha256_hex(file), list, input, likewise});
    for (const auto& info : house.context.blobs.list())
        CHECK(info.used_at < wall_seconds() - 39 * day);
}

TEST_CASE("no job goes for what is on its way or about to be named") {
    House house;
    house.context.options.retention.file_bytes = 10'000;
    const auto list = house.put_list("a", noise(5000, 1));
    const auto upload = noise(50'000, 2);
    CHECK(house.context.blobs.put_chunk(sha256_hex(upload), 100'000, 0, upload) == 50'000);
    const auto held = house.context.blobs.put_bytes(noise(20'000, 3));
    house.context.blobs.hold(held, Clock::now());
    JobId job = 0;
    house.look_after([](House& h, std::string in, JobId& id) -> asio::awaitable<void> {
        JobSpec spec;
        spec.in = {in};
        id = co_await h.submit(spec);
        co_await h.cancel(id);
        co_await forget_blobs(h.context, false);
        CHECK(h.context.jobs.find(id) != nullptr);
        // Its own files are too much.
        h.context.options.retention.file_bytes = 1000;
        co_await forget_blobs(h.context, false);
        CHECK(h.context.jobs.find(id) == nullptr);
    }(house, list, job));
    CHECK(house.context.blobs.has(held));
    CHECK(house.context.blobs.partial_bytes() == 50'000);
}
