/// What the store costs: bytes written by a thousand tasks, rows per second, and the time that a
/// start takes with many jobs or a large one. It works in /tmp.

#include <cstdio>

#include "common/self_stats.hpp"
#include "test/async/store_world.hpp"

using namespace rpic;
using test::StoreWorld;

namespace {

double seconds_since(Instant start) {
    return to_seconds(Clock::now() - start);
}

/// Tasks that start and end in batches, as a busy master records them.
void run_tasks(StoreWorld& world, JobId job, Position count, Position per_batch) {
    for (Position first = 0; first < count; first += per_batch) {
        StoreBatch batch;
        for (Position i = first; i < std::min(first + per_batch, count); ++i) {
            batch.emplace_back(test::begun(job, i));
            if (i < per_batch) continue;
            batch.emplace_back(DropTask{job, i - per_batch});
            batch.emplace_back(test::ended(job, i - per_batch));
        }
        world.commit(std::move(batch));
    }
    StoreBatch last;
    for (auto i = std::max<Position>(count - per_batch, 0); i < count; ++i) {
        last.emplace_back(DropTask{job, i});
        last.emplace_back(test::ended(job, i));
    }
    world.commit(std::move(last));
}

void measure_bytes(Position per_batch) {
    StoreWorld world;
    world.commit({test::new_job(1, 1000)});
    const auto before = own_bytes_written();
    run_tasks(world, 1, 1000, per_batch);
    const auto open = own_bytes_written() - before;
    world.store.reset();
    std::printf("1,000 tasks in batches of %lld: %lld KiB written, %lld KiB after the close\n",
                static_cast<long long>(per_batch), static_cast<long long>(open / 1024),
                static_cast<long long>((own_bytes_written() - before) / 1024));
}

void measure_single_jobs() {
    StoreWorld world;
    const auto before = own_bytes_written();
    const auto start = Clock::now();
    for (JobId id = 1; id <= 1000; ++id) {
        world.commit({test::new_job(id), SetMeta{meta_next_job, id + 1}, test::begun(id, 0)});
        auto job = test::new_job(id);
        job.status.ended = true;
        std::string output;
        append_output(output, OutputStream::out, "hello\n");
        world.commit({DropTask{id, 0}, test::ended(id, 0, output), PutJobStatus{job.status}});
    }
    std::printf("1,000 jobs of one task, one by one: %.2f s, %lld KiB written\n",
                seconds_since(start),
                static_cast<long long>((own_bytes_written() - before) / 1024));
}

void measure_rows(Position per_batch) {
    constexpr Position count = 100'000;
    StoreWorld world;
    world.commit({test::new_job(1, count)});
    const auto rows = world.store->statistics().rows;
    const auto cpu = world.store->statistics().cpu_seconds;
    const auto start = Clock::now();
    run_tasks(world, 1, count, per_batch);
    const auto time = seconds_since(start);
    const auto& now = world.store->statistics();
    std::printf("%lld tasks in batches of %lld: %.2f s, %.0f rows/s, %.2f s of the thread's CPU\n",
                static_cast<long long>(count), static_cast<long long>(per_batch), time,
                static_cast<double>(now.rows - rows) / time, now.cpu_seconds - cpu);
}

void measure_load(JobId jobs, Position size) {
    StoreWorld world;
    for (JobId id = 1; id <= jobs;) {
        StoreBatch batch;
        for (int i = 0; i < 1000 && id <= jobs; ++i) batch.emplace_back(test::new_job(id++, size));
        world.commit(std::move(batch));
    }
    for (Position first = 0; size > 1 && first < size; first += 15) {
        StoreBatch batch;
        for (auto i = first; i < std::min(first + 15, size); ++i)
            batch.emplace_back(test::ended(1, i));
        world.store->record(std::move(batch));
        if (first % 150 == 0) world.commit({SetMeta{"x", first}});
    }
    const auto start = Clock::now();
    world.reopen();
    std::printf("start with %lld jobs, the first with %lld results: %.3f s\n",
                static_cast<long long>(jobs),
                static_cast<long long>(world.contents.jobs[0].states.size()), seconds_since(start));
    if (size == 1) return;
    auto page = Clock::now();
    Position after = -1;
    for (int i = 0; i < 10; ++i) {
        const auto results = test::get(world.io, world.store->results(1, after, 10'000));
        after = results.back().position;
    }
    std::printf("ten pages of 10,000 results: %.3f s\n", seconds_since(page));
    page = Clock::now();
    for (int i = 0; i < 1000; ++i) test::get(world.io, world.store->task_result(1, i * 997 % size));
    std::printf("1,000 single results: %.3f s\n", seconds_since(page));
}

void measure_items() {
    constexpr Position count = 1'000'000;
    StoreWorld world;
    std::string items;
    for (Position i = 0; i < count; ++i) items += "frame-" + std::to_string(i) + '\0';
    const auto blob = world.put_blob(items);
    auto start = Clock::now();
    const auto counted = test::get(world.io, world.store->count_items(blob));
    std::printf("counting %lld items: %.3f s\n", static_cast<long long>(counted.count),
                seconds_since(start));
    start = Clock::now();
    for (Position first = 0; first < count; first += 100) {
        std::vector<ItemRequest> requests;
        for (auto i = first; i < first + 100; ++i) requests.push_back({blob, i});
        test::get(world.io, world.store->items(std::move(requests)));
    }
    std::printf("reading all of them in turn: %.3f s\n", seconds_since(start));
}

}  // namespace

int main() {
    for (const Position per_batch : {1, 4, 15, 64}) measure_bytes(per_batch);
    measure_single_jobs();
    for (const Position per_batch : {15, 256, 1024}) measure_rows(per_batch);
    measure_load(10'000, 1);
    measure_load(1, 1'000'000);
    measure_items();
}
