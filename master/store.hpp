#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <condition_variable>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <variant>
#include <vector>

#include "common/wakeup.hpp"
#include "master/core/keyring.hpp"
#include "master/core/node.hpp"

struct sqlite3;

namespace rpic {

namespace asio = boost::asio;

/// What can be recorded. The operations of one batch become durable together or not at all.
struct PutKey {
    KeyRecord record;
};
struct DropKey {
    std::string identity;
};
struct PutNode {
    NodeRecord record;
};
struct DropNode {
    std::string id;
};
/// A secret for the master's own user, written after the batch is committed.
struct PutSecretFile {
    std::filesystem::path path;
    std::string text;
};
using StoreOperation = std::variant<PutKey, DropKey, PutNode, DropNode, PutSecretFile>;
using StoreBatch = std::vector<StoreOperation>;

/// The master's memory on disk: SQLite with a write-ahead log and synchronous=FULL, so that what is
/// committed survives a power cut. Commits run on a helper thread; batches that gather while one is
/// committed share the next commit. The loop never waits for the disk.
class Store {
  public:
    struct Contents {
        std::string cluster;  // id of this cluster, made with the store
        std::vector<KeyRecord> keys;
        std::vector<NodeRecord> nodes;
    };

    /// Opens or makes the store; throws ConfigError with one line if that cannot be.
    Store(asio::any_io_executor executor, const std::filesystem::path& file);
    /// Commits what is queued, then closes.
    ~Store();
    Store(const Store&) = delete;
    Store& operator=(const Store&) = delete;

    /// Everything, at the start; blocking.
    Contents load();

    /// Returns when the batch is on disk. If it cannot be brought there, run() throws, and this
    /// never returns but by cancellation.
    asio::awaitable<void> commit(StoreBatch batch);

    /// The same for what nobody waits for.
    void record(StoreBatch batch);

    /// Lives as long as the store works; throws std::runtime_error when a commit failed. The master
    /// ends then: restart is the recovery.
    asio::awaitable<void> run();

  private:
    struct CloseDatabase {
        void operator()(sqlite3* database) const;
    };

    std::uint64_t enqueue(StoreBatch batch);
    void work();
    void execute(const char* sql);
    void carry_out(const StoreBatch& batch);
    void carry_out(const StoreOperation& operation);
    void write_file(const PutSecretFile& file);
    void report(std::uint64_t number, std::string failure);

    asio::any_io_executor executor_;
    std::unique_ptr<sqlite3, CloseDatabase> database_;

    // Shared with the helper thread, under the mutex.
    std::mutex mutex_;
    std::condition_variable ready_;
    StoreBatch queue_;
    std::uint64_t queued_ = 0;  // number of the newest batch
    bool stopping_ = false;

    // The loop's alone. Reports of the helper thread hold it too, since they may be run after the
    // store has gone.
    struct Progress {
        explicit Progress(const asio::any_io_executor& executor) : changed(executor) {}
        std::uint64_t committed = 0;
        std::string failure;
        Wakeup changed;
    };
    std::shared_ptr<Progress> progress_;
    std::thread thread_;
};

}  // namespace rpic
