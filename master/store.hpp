#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <condition_variable>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "common/clock.hpp"
#include "common/wakeup.hpp"
#include "master/store/records.hpp"
#include "master/store/retention.hpp"

namespace rpic {

namespace asio = boost::asio;

class StoreFiles;
class StoreTask;

/// The master's memory on disk: a database (master/store/database.hpp), and files for what tasks
/// print. What is committed survives a power cut. All disk work is done by one helper thread;
/// batches that gather while one is committed share the next commit. The loop never waits for the
/// disk.
///
/// Questions are answered in turn with the commits, and see what was committed before them. They
/// throw std::runtime_error when the disk does not answer. The store must outlive whoever waits for
/// it; cancellation is fine.
class Store {
  public:
    using Contents = StoreContents;

    /// Opens or makes the store `file`, with the folder "outputs" beside it; throws ConfigError
    /// with one line if that cannot be. `blob_path` tells where blobs are; without it they are in
    /// the folder "blobs" beside the file, each under its own name.
    Store(asio::any_io_executor executor, const std::filesystem::path& file,
          BlobPath blob_path = {});
    /// Commits what is queued, then closes.
    ~Store();
    Store(const Store&) = delete;
    Store& operator=(const Store&) = delete;

    /// Everything, before anything else is asked or recorded; blocking.
    Contents load();

    /// Returns when the batch is on disk. If it cannot be brought there, run() throws, and this
    /// never returns but by cancellation.
    asio::awaitable<void> commit(StoreBatch batch);

    /// The same, with these items read in the same pass: one for each request, in their order.
    asio::awaitable<std::vector<Item>> commit(StoreBatch batch, std::vector<ItemRequest> requests);

    /// The same for what nobody waits for.
    void record(StoreBatch batch);

    /// Lives as long as the store works; throws std::runtime_error when a commit failed. The master
    /// ends then: restart is the recovery.
    asio::awaitable<void> run();

    /// The newest result of each position above `after` (-1: all), by position, `limit` at most.
    asio::awaitable<std::vector<TaskResult>> results(JobId job, Position after, std::size_t limit);

    /// The newest result of one task, if it has one.
    asio::awaitable<std::optional<TaskResult>> task_result(JobId job, Position position);

    /// What the attempt of the newest result printed, `max_bytes` at most from `offset` on.
    asio::awaitable<StoredOutput> output(JobId job, Position position, std::int64_t offset,
                                         std::size_t max_bytes);

    asio::awaitable<std::vector<Item>> items(std::vector<ItemRequest> requests);

    /// How many items a blob holds. Read bit by bit, between commits.
    asio::awaitable<ItemCount> count_items(std::string blob);

    /// All ended jobs, for jobs_to_drop().
    asio::awaitable<std::vector<EndedJob>> ended_jobs();

    /// The blobs that jobs and their results name (what their lists of files name is not looked
    /// for).
    asio::awaitable<BlobsOfJobs> blobs_in_use();

    /// Writes all there is into one file (a tar archive of mode 0600: it holds the keys), bit by
    /// bit between commits. The file is there whole or not at all; none is made for one who does
    /// not wait any more. One backup at a time: a second one throws.
    asio::awaitable<MadeBackup> backup(std::filesystem::path file);

    /// As of the last report of the thread.
    const StoreStatistics& statistics() const { return progress_->statistics; }

    /// Free space where the store is, a second old at most.
    asio::awaitable<std::int64_t> free_bytes();

  private:
    using Tasks = std::vector<std::shared_ptr<StoreTask>>;
    /// What one pass of the helper thread has to tell the loop.
    struct Outcome {
        std::string failure;
        std::vector<std::string> warnings;
        Tasks answered;
        StoreStatistics statistics;
        Instant measured;
    };

    std::uint64_t enqueue(StoreBatch batch, std::shared_ptr<StoreTask> task);
    template <class Answer, class Step>
    asio::awaitable<Answer> ask(Step step, StoreBatch batch = {});
    void work();
    Tasks answer(Tasks tasks, Tasks& unfinished);
    void report(std::uint64_t number, Outcome outcome);

    asio::any_io_executor executor_;
    std::unique_ptr<StoreFiles> files_;  // the helper thread's alone, once it works

    // Shared with the helper thread, under the mutex.
    std::mutex mutex_;
    std::condition_variable ready_;
    StoreBatch queue_;
    Tasks tasks_;               // to be done after what is in the queue
    std::uint64_t queued_ = 0;  // number of the newest batch
    bool stopping_ = false;

    // The loop's alone. Reports of the helper thread hold it too, since they may be run after the
    // store has gone.
    struct Progress {
        explicit Progress(const asio::any_io_executor& executor) : changed(executor) {}
        std::uint64_t committed = 0;
        std::string failure;
        StoreStatistics statistics;
        Instant measured;  // the free space
        Wakeup changed;
    };
    std::shared_ptr<Progress> progress_;
    std::thread thread_;
};

}  // namespace rpic
