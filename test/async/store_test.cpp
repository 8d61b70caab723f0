#include <signal.h>
#include <sys/resource.h>

#include <catch2/catch.hpp>

#include "common/errors.hpp"
#include "common/limits.hpp"
#include "common/self_stats.hpp"
#include "common/until_first_failure.hpp"
#include "test/async/store_world.hpp"

using namespace rpic;
using test::begun;
using test::ended;
using test::get;
using test::new_job;
using test::StoreWorld;
using namespace std::chrono_literals;

namespace {

std::string records(std::string_view text) {
    std::string out;
    append_output(out, OutputStream::out, text);
    return out;
}

std::vector<Position> positions(const std::vector<TaskResult>& results) {
    std::vector<Position> all;
    for (const auto& result : results) all.push_back(result.position);
    return all;
}

/// Lets the thread do what it does when nothing else is to be done.
template <class Condition>
void wait_for(StoreWorld& world, Condition condition) {
    const auto deadline = Clock::now() + 10s;
    while (!condition() && Clock::now() < deadline) get(world.io, world.store->ended_jobs());
    REQUIRE(condition());
}

}  // namespace

TEST_CASE("a store gives back what was committed") {
    StoreWorld world;
    CHECK(world.contents.epoch == 1);
    CHECK(world.contents.next_job == 1);
    CHECK(world.contents.jobs.empty());
    const auto cluster = world.contents.cluster;
    CHECK(cluster.size() == 32);

    KeyRecord key;
    key.identity = "abc";
    key.key = "secret";
    key.role = "node";
    auto job = new_job(3, 100);
    world.commit({PutKey{key}, job, begun(3, 5), begun(3, 6), SetMeta{meta_next_job, 9}});
    job.status.done = 2;
    job.status.last_attempt = 17;
    auto other = new_job(4);
    other.status.ended = true;
    world.commit({PutJobStatus{job.status}, other, DropTask{3, 5}, ended(3, 5),
                  ended(3, 8, {}, "failed"), ended(3, 2, {}, "cancelled")});
    world.reopen();

    const auto& contents = world.contents;
    CHECK(contents.cluster == cluster);
    CHECK(contents.next_job == 9);
    REQUIRE(contents.keys.size() == 1);
    CHECK(contents.keys[0].key == "secret");
    REQUIRE(contents.jobs.size() == 2);
    CHECK(contents.jobs[0].status == job.status);
    CHECK(to_json(*contents.jobs[0].spec) == to_json(*job.spec));
    REQUIRE(contents.jobs[0].states.size() == 9);
    CHECK(contents.jobs[0].states[2] == TaskState::cancelled);
    CHECK(contents.jobs[0].states[5] == TaskState::done);
    CHECK(contents.jobs[0].states[6] == TaskState::queued);
    CHECK(contents.jobs[0].states[8] == TaskState::failed);
    CHECK(contents.jobs[1].status == other.status);
    CHECK(contents.jobs[1].states.empty());
    REQUIRE(contents.tasks.size() == 1);
    CHECK(contents.tasks[0] == begun(3, 6).record);
}

TEST_CASE("a store knows which tasks a retry has taken up") {
    StoreWorld world;
    auto job = new_job(1, 5);
    auto again = ended(1, 1, {}, "failed");
    again.result.round = 1;
    world.commit(
        {job, ended(1, 0, {}, "failed"), ended(1, 1, {}, "failed"), ended(1, 3, {}, "cancelled")});
    job.status.round = 1;
    world.commit({PutJobStatus{job.status}, again});
    world.reopen();
    using enum TaskState;
    CHECK(world.contents.jobs[0].states == std::vector{queued, failed, queued, cancelled});
    job.status.rest_cancelled = true;
    world.commit({PutJobStatus{job.status}});
    world.reopen();
    CHECK(world.contents.jobs[0].states == std::vector{queued, failed, cancelled, cancelled});
    const auto output = get(world.io, world.store->output(1, 1, 0, 10));
    CHECK(output.state == "failed");
    CHECK(output.round == 1);
}

TEST_CASE("job ids are not given again, whatever the counter says") {
    StoreWorld world;
    world.commit({new_job(41), SetMeta{meta_next_job, 3}});
    world.reopen();
    CHECK(world.contents.next_job == 42);
}

TEST_CASE("the newest result of a task counts") {
    StoreWorld world;
    auto again = ended(1, 2, records("second"), "failed");
    again.result.attempt = 2;
    auto third = ended(1, 2, records("third"));
    third.result.attempt = 3;
    world.commit({new_job(1, 5), ended(1, 2, records("first")), ended(1, 3), again});
    CHECK(get(world.io, world.store->task_result(1, 2))->attempt == 2);
    CHECK(world.text_of_output(1, 2) == records("second"));
    world.commit({third});
    CHECK(get(world.io, world.store->task_result(1, 2))->attempt == 3);
    CHECK(world.text_of_output(1, 2) == records("third"));
    world.reopen();
    CHECK(world.contents.jobs[0].states[2] == TaskState::done);
    const auto results = get(world.io, world.store->results(1, -1, 10));
    CHECK(positions(results) == std::vector<Position>{2, 3});
    CHECK(results[0].attempt == 3);
    CHECK_FALSE(get(world.io, world.store->task_result(1, 4)));
    CHECK_FALSE(get(world.io, world.store->task_result(2, 0)));
    CHECK_FALSE(get(world.io, world.store->output(1, 4, 0, 10)).known);
    CHECK(get(world.io, world.store->results(2, -1, 10)).empty());
}

TEST_CASE("results come in pages, however they came in") {
    StoreWorld world;
    world.commit({new_job(1, 1'000'000)});
    std::vector<Position> all;
    for (Position i = 0; i < 300; ++i) {
        StoreBatch batch;
        for (const auto position : {i, 1000 + (i * 7) % 300, 999'999 - i * i})
            batch.emplace_back(ended(1, position));
        all.insert(all.end(), {i, 1000 + i, 999'999 - i * i});
        world.store->record(std::move(batch));
    }
    std::sort(all.begin(), all.end());
    for (const std::size_t limit : {1u, 7u, 400u, 10'000u}) {
        std::vector<Position> seen;
        Position after = -1;
        for (;;) {
            const auto page = get(world.io, world.store->results(1, after, limit));
            CHECK(page.size() <= limit);
            if (page.empty()) break;
            for (const auto& result : page) seen.push_back(result.position);
            after = seen.back();
        }
        CHECK(seen == all);
    }
}

TEST_CASE("outputs go into the database while they are few, then into files") {
    StoreWorld world;
    const auto folder = world.folder.path() / "outputs/1";
    world.commit(
        {new_job(1, 100), ended(1, 0, records("a")), ended(1, 1), ended(1, 2, records("bc"))});
    CHECK_FALSE(std::filesystem::exists(folder));
    const std::string large(40'000, 'x');
    world.commit({ended(1, 3, records(large)), ended(1, 4, records("behind"))});
    CHECK(std::filesystem::file_size(folder / "0.seg") == 40'005 + 11);
    world.reopen();
    world.commit({ended(1, 5, records(large))});
    CHECK(world.text_of_output(1, 0) == records("a"));
    CHECK(world.text_of_output(1, 1).empty());
    CHECK(world.text_of_output(1, 2) == records("bc"));
    CHECK(world.text_of_output(1, 3) == records(large));
    CHECK(world.text_of_output(1, 4) == records("behind"));
    CHECK(world.text_of_output(1, 5) == records(large));

    const auto part = get(world.io, world.store->output(1, 3, 39'000, 500));
    CHECK(part.known);
    CHECK(part.attempt == 1);
    CHECK(part.size == 40'005);
    CHECK(part.bytes == records(large).substr(39'000, 500));
    CHECK(get(world.io, world.store->output(1, 3, 40'000, 500)).bytes.size() == 5);
    for (const std::int64_t offset : {-1, 40'005, 1 << 30})
        CHECK(get(world.io, world.store->output(1, 3, offset, 500)).bytes.empty());
}

TEST_CASE("an output that came as a blob is named") {
    StoreWorld world;
    auto result = ended(1, 0);
    result.result.output_blob = std::string(64, 'c');
    result.result.output_bytes = 100'000;
    auto job = new_job(1);
    world.commit({job, result});
    const auto output = get(world.io, world.store->output(1, 0, 0, 100));
    CHECK(output.blob == std::string(64, 'c'));
    CHECK(output.size == 100'000);
    CHECK(output.bytes.empty());
    const BlobsOfJobs named{{1, {{std::string(64, 'c')}, {}}}};
    CHECK(get(world.io, world.store->blobs_in_use()) == named);
    job.status.ended = true;
    world.commit({PutJobStatus{job.status}});
    const auto jobs = get(world.io, world.store->ended_jobs());
    REQUIRE(jobs.size() == 1);
    CHECK(jobs[0].output_bytes == 100'000);
}

TEST_CASE("outputs are kept in files of limited size") {
    StoreWorld world;
    world.commit({new_job(1, 100)});
    std::filesystem::create_directories(world.folder.path() / "outputs/1");
    const auto first = world.folder.path() / "outputs/1/0.seg";
    std::ofstream(first).put('x');
    std::filesystem::resize_file(first, limits::output_segment_bytes);
    const std::string large(20'000, 'y');
    world.commit({ended(1, 0, records(large))});
    CHECK(std::filesystem::file_size(first) == limits::output_segment_bytes);
    CHECK(std::filesystem::file_size(world.folder.path() / "outputs/1/1.seg") == 20'005);
    CHECK(world.text_of_output(1, 0) == records(large));
}

TEST_CASE("a result is recorded when its output cannot be written") {
    StoreWorld world;
    const std::string large(200'000, 'z');
    world.commit({new_job(1, 100), new_job(2, 100), ended(2, 0, records(large))});
    const auto recorded = [&](JobId job, Position position) {
        const auto result = get(world.io, world.store->task_result(job, position));
        REQUIRE(result);
        CHECK(result->state == "done");
        CHECK(result->output_bytes == 0);
        CHECK_THAT(result->reason, Catch::Matchers::StartsWith("its output was lost: cannot "));
        const auto output = get(world.io, world.store->output(job, position, 0, 100));
        CHECK(output.known);
        CHECK(output.bytes.empty());
    };
    SECTION("because the folder cannot be made") {
        std::ofstream(world.folder.path() / "outputs/1").put('x');
        world.commit({ended(1, 0, records(large)), ended(1, 1), ended(2, 1, records(large))});
        recorded(1, 0);
        CHECK(get(world.io, world.store->task_result(1, 1))->reason.empty());
        CHECK(world.text_of_output(2, 1) == records(large));
        CHECK(world.store->statistics().outputs_lost == 1);
    }
    SECTION("because there is no room") {
        // A limit on the size of files stands for a full disk: the write fails after a part.
        rlimit before{};
        ::getrlimit(RLIMIT_FSIZE, &before);
        const auto handler = ::signal(SIGXFSZ, SIG_IGN);
        const rlimit tight{300'000, before.rlim_max};
        ::setrlimit(RLIMIT_FSIZE, &tight);
        world.commit({ended(2, 1, records(large))});
        ::setrlimit(RLIMIT_FSIZE, &before);
        ::signal(SIGXFSZ, handler);
        recorded(2, 1);
        CHECK(std::filesystem::file_size(world.folder.path() / "outputs/2/0.seg") == 200'005);
        CHECK(world.text_of_output(2, 0) == records(large));
        world.commit({ended(2, 1, records(large))});
        CHECK(world.text_of_output(2, 1) == records(large));
    }
}

TEST_CASE("dropped jobs leave nothing behind") {
    StoreWorld world;
    const std::string large(20'000, 'x');
    auto job = new_job(1, 1'000'000);
    world.commit({job, new_job(2, 10)});
    for (Position i = 0; i < 600; ++i) world.store->record({ended(1, i)});
    world.commit(
        {begun(1, 7), begun(2, 7), ended(1, 1, records(large)), ended(2, 1, records(large))});
    job.status.ended = true;
    world.commit({PutJobStatus{job.status}});
    const auto jobs = get(world.io, world.store->ended_jobs());
    REQUIRE(jobs.size() == 1);
    CHECK(jobs[0].id == 1);
    CHECK(jobs[0].age_seconds >= 0);
    CHECK(jobs[0].output_bytes == 20'005);
    world.commit({DropJobs{{1, 77}}});
    SECTION("at once") {}
    SECTION("nor when the master ended in between") {
        world.reopen();
        CHECK(world.contents.jobs.size() == 1);
        CHECK(world.contents.tasks.size() == 1);
    }
    wait_for(world, [&] { return !std::filesystem::exists(world.folder.path() / "outputs/1"); });
    CHECK(get(world.io, world.store->results(1, -1, 10)).empty());
    CHECK(world.text_of_output(2, 1) == records(large));
    world.reopen();
    REQUIRE(world.contents.jobs.size() == 1);
    CHECK(world.contents.jobs[0].status.id == 2);
    CHECK(world.contents.tasks.size() == 1);
}

TEST_CASE("a copy of the files at any moment is a store") {
    StoreWorld world;
    world.commit({new_job(1, 1'000'000)});
    const std::string large(20'000, 'x');
    for (int round = 0; round < 20; ++round) {
        const auto committed = static_cast<Position>(round) * 10;
        for (Position i = 0; i < 10; ++i) {
            StoreBatch batch = {begun(1, committed + i), ended(1, committed + i)};
            if (i == 3) batch.emplace_back(ended(1, committed + i, records(large)));
            world.store->record(std::move(batch));
        }
        if (round % 3 == 0) world.commit({DropTask{1, committed}});
        // As after kill -9, while the thread may be in the middle of something. The log ends at a
        // random place, as after a power cut.
        StoreWorld copy;
        copy.store.reset();
        std::filesystem::remove_all(copy.folder.path() / "store.db-wal");
        const auto overwrite = std::filesystem::copy_options::overwrite_existing |
                               std::filesystem::copy_options::recursive;
        std::filesystem::copy(world.folder.path(), copy.folder.path(), overwrite);
        const auto log = copy.folder.path() / "store.db-wal";
        REQUIRE(std::filesystem::exists(log));
        const auto size = std::filesystem::file_size(log);
        if (round % 2 == 1) std::filesystem::resize_file(log, size - size / 37 - 1);
        copy.open();
        // Batches are in it whole, and none without those before it.
        const std::size_t begun_tasks = copy.contents.tasks.size();
        std::size_t dropped = 0;
        if (!copy.contents.jobs.empty()) {
            const auto& states = copy.contents.jobs[0].states;
            for (Position i = 0; i < static_cast<Position>(states.size()); ++i)
                CHECK(states[static_cast<std::size_t>(i)] == TaskState::done);
            dropped = states.size() - begun_tasks;
            for (Position i = 3; i < static_cast<Position>(states.size()); i += 10)
                CHECK(copy.text_of_output(1, i) == records(large));
        }
        CHECK(dropped <= 7);
        copy.commit({new_job(99)});
    }
}

TEST_CASE("what is no store is refused in one line") {
    test::TemporaryFolder folder;
    asio::io_context io;
    const auto file = folder.path() / "store.db";
    const auto refused = [&](const char* reason) {
        try {
            Store store(io.get_executor(), file);
            store.load();
            FAIL("it was taken");
        } catch (const ConfigError& error) {
            CHECK_THAT(error.what(), Catch::Matchers::Contains(reason));
            CHECK_THAT(error.what(), !Catch::Matchers::Contains("\n"));
        }
    };
    SECTION("another file") {
        std::ofstream(file) << std::string(10'000, 'x');
        refused("file is not a database");
    }
    SECTION("damaged pages") {
        {
            Store store(io.get_executor(), file);
            StoreBatch batch;
            for (JobId id = 1; id < 500; ++id) batch.emplace_back(new_job(id));
            store.record(std::move(batch));
        }
        const auto size = std::filesystem::file_size(file);
        std::fstream damage(file);
        damage.seekp(4096);
        damage << std::string(size - 4096, 'x');
        damage.close();
        refused("damaged");
    }
    SECTION("a version below the first") {
        { const Store store(io.get_executor(), file); }
        std::fstream damage(file);
        damage.seekp(60);  // "user version" of SQLite's file format
        damage << std::string(4, '\xff');
        damage.close();
        refused("no store has such a version");
    }
    SECTION("jobs that cannot be") {
        auto job = new_job(7);
        auto spec = *job.spec;
        const char* reason = "";
        const auto broken = GENERATE(range(0, 5));
        if (broken == 0) job.status.size = INT64_MAX, reason = "job 7: the number of tasks";
        if (broken == 1) job.status.step = 0, reason = "job 7: the indices";
        if (broken == 2) job.status.last_attempt = INT64_MAX, reason = "job 7: the number of att";
        if (broken == 3) spec.where = "((", reason = "job 7: the expression";
        if (broken == 4) spec.lost_after_seconds = 1e300, reason = "job 7: the time";
        job.spec = std::make_shared<JobSpec>(std::move(spec));
        StoreBatch batch;
        batch.emplace_back(std::move(job));
        {
            Store store(io.get_executor(), file);
            store.record(std::move(batch));
        }
        refused(reason);
    }
    SECTION("a folder that is not there") {
        std::filesystem::remove_all(folder.path());
        refused("unable to open database file");
    }
}

TEST_CASE("an idle store writes nothing") {
    StoreWorld world;
    world.commit({new_job(1)});
    get(world.io, world.store->ended_jobs());
    const auto before = own_bytes_written();
    const auto commits = world.store->statistics().commits;
    get(world.io, world.store->results(1, -1, 10));
    CHECK(get(world.io, world.store->free_bytes()) > 0);
    world.io.run_for(300ms);
    CHECK(own_bytes_written() == before);
    CHECK(world.store->statistics().commits == commits);
}

TEST_CASE("whoever waits for the store may be cancelled") {
    StoreWorld world;
    world.commit({new_job(1)});
    const auto wait = [](Store& store) -> asio::awaitable<void> {
        co_await store.results(1, -1, 10);
        StoreBatch batch;
        batch.emplace_back(SetMeta{"n", 1});
        co_await store.commit(std::move(batch));
        Wakeup never(co_await asio::this_coro::executor);
        co_await never.wait(0);
    };
    const auto end = []() -> asio::awaitable<void> { co_return; };
    for (int i = 0; i < 50; ++i)
        test::run_all(world.io, until_first_failure(wait(*world.store), end()));
    CHECK(get(world.io, world.store->results(1, -1, 10)).empty());
}
