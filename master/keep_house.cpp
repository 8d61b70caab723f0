#include <map>
#include <memory>

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

using NamedBlobs = std::shared_ptr<const BlobsOfJobs>;

asio::awaitable<NamedBlobs> blobs_in_use(Context& context) {
    auto named = co_await context.store.blobs_in_use();
    // The store may still have rows of jobs that were forgotten.
    std::erase_if(named, [&](const auto& entry) { return !context.jobs.find(entry.first); });
    co_return std::make_shared<const BlobsOfJobs>(std::move(named));
}

/// Those that were not looked into yet. What no job names any more is forgotten.
std::vector<std::string> new_lists(FileLists& known, const BlobsOfJobs& named) {
    const auto lists = lists_of(named);
    known.keep_only(lists);
    std::vector<std::string> result;
    for (const auto& list : lists)
        if (!known.knows(list)) result.push_back(list);
    return result;
}

/// What is no list of files names nothing. One that is not here may still come; if it cannot be
/// read nobody knows what it names, and nothing may go: throws FileError.
void read_list(BlobStore& store, FileLists& lists, const std::string& list) {
    std::vector<std::string> files;
    try {
        const auto text = store.read(list, limits::manifest_bytes, BlobStore::Use::unnoted);
        files = parse_manifest(text).blobs();
    } catch (const FileError& error) {
        if (error.code == "not_found") return;
        if (error.code != "bad_request") throw;
    }
    lists.add(list, files);
}

/// Looks into new lists, into one at a time: whoever sends or fetches files gets a turn in between.
/// Gives how many there were.
asio::awaitable<std::size_t> read_lists(Context& context, NamedBlobs named) {
    auto look = [&lists = context.file_lists, named] { return new_lists(lists, *named); };
    const auto lists = co_await context.files.run(std::move(look));
    for (const auto& list : lists) {
        auto read = [&context, list] { read_list(context.blobs, context.file_lists, list); };
        co_await context.files.run(std::move(read));
    }
    co_return lists.size();
}

/// What jobs name; what the lists among it name is known then.
asio::awaitable<NamedBlobs> known_blobs(Context& context) {
    auto named = co_await blobs_in_use(context);
    const auto read = co_await read_lists(context, named);
    if (read == 0) co_return named;
    // After a start that takes minutes, in which jobs come and results name other files.
    named = co_await blobs_in_use(context);
    co_await read_lists(context, named);
    co_return named;
}

struct Evicted {
    std::int64_t left = 0;
    std::vector<JobId> jobs;  // these would have to go so that what jobs name is not too much
};

/// Of the files that no job names, and none is about to, the least recently used go.
Evicted evict(BlobStore& store, const BlobsOfJobs& named, const FileLists& lists,
              std::vector<EndedJob> ended, const RetentionLimits& kept) {
    const auto pinned = named_blobs(named, lists);
    Evicted evicted;
    evicted.left = store.evict(kept.file_bytes, pinned, Clock::now(), kept.age);
    if (evicted.left <= kept.file_bytes) return evicted;
    // Jobs pay for what they name alone, not for what is about to be named or cannot be deleted.
    std::map<std::string, std::int64_t> sizes;
    std::int64_t named_bytes = 0;
    for (const auto& info : store.list()) {
        if (!pinned.contains(info.blob)) continue;
        sizes[info.blob] = info.size;
        named_bytes += info.size;
    }
    const auto excess = named_bytes - kept.file_bytes;
    evicted.jobs = jobs_to_free(std::move(ended), named, lists, sizes, excess);
    return evicted;
}

}  // namespace

asio::awaitable<void> forget_blobs(Context& context, bool by_age) {
    const auto& kept = context.options.retention;
    auto look = [&store = context.blobs, &kept] {
        store.evict_partial(kept.file_bytes);
        return store.bytes() - store.partial_bytes();
    };
    const auto bytes = co_await context.files.run(std::move(look));
    if (bytes <= kept.file_bytes && !by_age) co_return;
    const auto named = co_await known_blobs(context);
    auto ended = co_await context.store.ended_jobs();
    auto work = [&store = context.blobs, named, &lists = context.file_lists,
                 ended = std::move(ended),
                 &kept] { return evict(store, *named, lists, ended, kept); };
    const auto evicted = co_await context.files.run(std::move(work));
    if (evicted.left < bytes)
        log_info("files of jobs take " + format_size(evicted.left) + " now, they took " +
                 format_size(bytes));
    const auto forgotten = forget(context, evicted.jobs);
    if (forgotten > 0)
        log_info("forgot " + std::to_string(forgotten) + " old jobs, whose files were too much");
}

namespace {

/// What the disk does not let us do is tried again the next time: the cluster works on meanwhile.
asio::awaitable<void> look_after_files(Context& context, bool by_age) {
    try {
        co_await forget_blobs(context, by_age);
        const bool kept = !context.backup_blob.empty() &&
                          Clock::now() - context.backup_made <= limits::backup_kept;
        if (!kept && !context.backup_under_way) co_await context.drop_backup();
    } catch (const FileError& error) {
        log_rarely(Severity::warning, "files", "housekeeping",
                   std::string("old files stay for now: ") + error.what());
    }
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
        co_await look_after_files(context, by_age);
    }
}

}  // namespace rpic
