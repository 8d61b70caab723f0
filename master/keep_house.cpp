#include <map>
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

/// Gives how many of them are forgotten.
std::size_t forget(Context& context, std::vector<JobId> ids) {
    // One may have been taken up again while the store was asked.
    std::erase_if(ids, [&](JobId id) { return !context.jobs.forget(id); });
    const auto count = ids.size();
    if (count == 0) return count;
    StoreBatch batch;
    batch.emplace_back(DropJobs{std::move(ids)});
    context.turns.record(std::move(batch));
    return count;
}

/// Forgets a handful; how many jobs that was.
asio::awaitable<std::size_t> forget_some_jobs(Context& context) {
    auto ended = co_await context.store.ended_jobs();
    co_return forget(context, jobs_to_drop(std::move(ended), context.options.retention));
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

/// Adds what the lists among the blobs name. Many jobs name the same list: each is read once. What
/// is no list of files fails, and names nothing.
BlobsOfJobs with_contents(BlobStore& store, BlobsOfJobs blobs) {
    std::map<std::string, std::set<std::string>> lists;
    const auto read = [&](const std::string& blob) {
        std::set<std::string> files;
        try {
            const auto list = parse_manifest(store.read(blob, limits::manifest_bytes));
            for (const auto& entry : list.entries)
                if (entry.is_file()) files.insert(entry.blob);
        } catch (const std::exception&) {
            files.clear();
        }
        return files;
    };
    for (auto& [job, named] : blobs) {
        std::set<std::string> contents;
        for (const auto& blob : named) {
            auto known = lists.find(blob);
            if (known == lists.end()) known = lists.emplace(blob, read(blob)).first;
            contents.insert(known->second.begin(), known->second.end());
        }
        named.merge(contents);
    }
    return blobs;
}

struct KeptBackup {
    std::string blob;  // empty: there is none
    std::int64_t bytes = 0;
};

struct Evicted {
    std::int64_t left = 0;
    std::vector<JobId> jobs;  // these would have to go so that what is left is not too much
};

/// Of the files that no job names, and none is about to, the least recently used go. The backup
/// stays for its client, and no job has to go for it.
Evicted evict(BlobStore& store, const BlobsOfJobs& named, std::vector<EndedJob> ended,
              const RetentionLimits& kept, const KeptBackup& backup) {
    const auto blobs = with_contents(store, named);
    std::set<std::string> pinned;
    auto most = kept.file_bytes;
    if (!backup.blob.empty() && store.has(backup.blob)) {
        pinned.insert(backup.blob);
        most += backup.bytes;
    }
    for (const auto& [job, some] : blobs) pinned.insert(some.begin(), some.end());
    Evicted evicted;
    evicted.left = store.evict(most, pinned, Clock::now(), kept.age);
    if (evicted.left <= most) return evicted;
    std::map<std::string, std::int64_t> sizes;
    for (const auto& info : store.list()) sizes[info.blob] = info.size;
    evicted.jobs = jobs_to_free(std::move(ended), blobs, sizes, evicted.left - most);
    return evicted;
}

/// Files that a job names, directly or inside a list of files, stay while all of them together are
/// not too much; then the oldest ended jobs go, and their files with them the next time. Whether
/// others were unused for too long is looked at only if `by_age`: that takes a look at all jobs.
asio::awaitable<void> forget_blobs(Context& context, bool by_age) {
    const auto& kept = context.options.retention;
    auto size = [&store = context.blobs] { return store.bytes(); };
    const auto bytes = co_await context.files.run(std::move(size));
    if (bytes <= kept.file_bytes && !by_age) co_return;
    auto named = co_await context.store.blobs_in_use();
    // The store may still have rows of jobs that were forgotten.
    std::erase_if(named, [&](const auto& entry) { return !context.jobs.find(entry.first); });
    auto ended = co_await context.store.ended_jobs();
    KeptBackup backup{context.backup_blob, context.backup_bytes};
    auto work = [&store = context.blobs, named = std::move(named), ended = std::move(ended), &kept,
                 backup = std::move(backup)] { return evict(store, named, ended, kept, backup); };
    const auto evicted = co_await context.files.run(std::move(work));
    if (evicted.left < bytes)
        log_info("files of jobs take " + format_size(evicted.left) + " now, they took " +
                 format_size(bytes));
    const auto forgotten = forget(context, evicted.jobs);
    if (forgotten > 0)
        log_info("forgot " + std::to_string(forgotten) + " old jobs, whose files were too much");
}

}  // namespace

asio::awaitable<void> keep_house(Context& context) {
    const Duration interval = limits::housekeeping_interval;
    auto looked_at_age = Clock::now();
    for (;;) {
        co_await sleep_for(interval);
        co_await forget_jobs(context);
        // The use of a blob is noted no more often than that.
        const bool by_age = Clock::now() - looked_at_age > limits::blob_touched;
        if (by_age) looked_at_age = Clock::now();
        co_await forget_blobs(context, by_age);
        if (!context.backup_blob.empty() &&
            Clock::now() - context.backup_made > limits::backup_kept)
            co_await context.drop_backup();
    }
}

}  // namespace rpic
