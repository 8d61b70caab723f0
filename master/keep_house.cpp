#include <set>

#include "common/limits.hpp"
#include "common/log.hpp"
#include "common/manifest.hpp"
#include "common/sleep.hpp"
#include "common/text.hpp"
#include "master/context.hpp"

/// What is too old, or too much, goes.
namespace rpic {

namespace {

/// Between two handfuls of jobs that are forgotten: what else is to be stored gets its turn.
constexpr auto forget_pause = std::chrono::milliseconds(100);

/// Forgets a handful; how many jobs that was.
asio::awaitable<std::size_t> forget_some_jobs(Context& context) {
    auto ended = co_await context.store.ended_jobs();
    auto ids = jobs_to_drop(std::move(ended), RetentionLimits{});
    // One may have been taken up again while the store was asked.
    std::erase_if(ids, [&](JobId id) { return !context.jobs.forget(id); });
    const auto count = ids.size();
    if (count == 0) co_return count;
    StoreBatch batch;
    batch.emplace_back(DropJobs{std::move(ids)});
    context.turns.record(std::move(batch));
    co_return count;
}

/// As many as it takes: a cluster may end more jobs a minute than one handful has.
asio::awaitable<void> forget_jobs(Context& context) {
    std::size_t forgotten = 0;
    std::size_t count = co_await forget_some_jobs(context);
    while (count > 0) {
        forgotten += count;
        co_await sleep_for(forget_pause);
        count = co_await forget_some_jobs(context);
    }
    if (forgotten > 0) log_info("forgot " + std::to_string(forgotten) + " old jobs");
}

/// Blobs that a job names, directly or inside a list of files, stay; of the others the least
/// recently used go once all of them take too much.
asio::awaitable<void> forget_blobs(Context& context) {
    auto size = [&store = context.blobs] { return store.bytes(); };
    const auto bytes = co_await context.files.run(std::move(size));
    if (bytes <= limits::master_blob_bytes) co_return;
    const auto named = co_await context.store.blobs_in_use();
    auto evict = [&store = context.blobs, named] {
        std::set<std::string> pinned(named.begin(), named.end());
        for (const auto& blob : named) {
            // What is no list of files fails here, and pins nothing but itself.
            try {
                const auto files = parse_manifest(store.read(blob, limits::manifest_bytes));
                for (const auto& entry : files.entries) pinned.insert(entry.blob);
            } catch (const std::exception&) {
                continue;
            }
        }
        return store.evict(limits::master_blob_bytes, pinned);
    };
    const auto left = co_await context.files.run(std::move(evict));
    log_info("files of jobs take " + format_size(left) + " now, they took " + format_size(bytes));
}

}  // namespace

asio::awaitable<void> keep_house(Context& context) {
    const Duration interval = limits::housekeeping_interval;
    for (;;) {
        co_await sleep_for(interval);
        co_await forget_jobs(context);
        co_await forget_blobs(context);
        if (!context.backup_blob.empty() &&
            Clock::now() - context.backup_made > limits::backup_kept)
            co_await context.drop_backup();
    }
}

}  // namespace rpic
