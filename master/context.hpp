#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "common/blob_store.hpp"
#include "common/file_thread.hpp"
#include "common/files.hpp"
#include "common/machine/machine.hpp"
#include "common/tls.hpp"
#include "master/bulk_links.hpp"
#include "master/core/cluster.hpp"
#include "master/core/jobs.hpp"
#include "master/core/keyring.hpp"
#include "master/counters.hpp"
#include "master/event_log.hpp"
#include "master/lobby.hpp"
#include "master/run_log.hpp"
#include "master/sessions.hpp"
#include "master/store.hpp"
#include "master/turns.hpp"

namespace rpic {

struct MasterOptions {
    std::string bind;              // empty: every address, IPv4 and IPv6
    std::uint16_t port = 12345;    // 0: any free one
    std::filesystem::path folder;  // <state dir>/master
    bool plain = false;
    HealthLimits health;
    RetentionLimits retention;
    bool discovery = true;
    std::uint16_t discovery_port = 12345;  // 0: any free one
};

/// The parts of a running master. It outlives every session; all of it belongs to the one loop.
struct Context {
    Context(const asio::any_io_executor& executor, const MasterOptions& chosen);

    MasterOptions options;
    Instant started = Clock::now();
    BlobStore blobs;       // on the file thread alone, as the next two
    FileLists file_lists;  // that jobs name
    BlobStore backups;     // at most one: apart from blobs, which are what a backup holds
    FileThread files;
    Store store;
    Counters counters;
    Keyring keyring;
    StoreContents contents;  // what the store held at the start, until it is taken up
    Cluster cluster;
    Jobs jobs;
    EventLog events;
    RunLog runs;          // for viewers, as the two behind it
    Histogram durations;  // of tasks that have a result
    Histogram waits;      // OrderStart::waited_seconds
    Wakeup job_news;      // a job has ended
    Wakeup job_changes;   // what viewers see of some job is another than before; ends, too
    Turns turns;
    BulkLinks bulk;
    std::string cluster_id;
    std::int64_t epoch = 1;
    bool backup_under_way = false;
    std::string backup_blob;  // the last one, until its client has had time to fetch it
    Instant backup_made{};
    Machine machine{"/", real_machine_calls(), std::filesystem::absolute(options.folder)};
    Vitals vitals;  // of the master's own machine, measured now and then
    Sessions sessions;
    Lobby lobby;
    TlsServer tls;
    std::size_t clients = 0;
    bool stopping = false;

    Moment moment() const;
    /// Removes the last backup, and one that nobody has waited for to its end.
    asio::awaitable<void> drop_backup();

    std::filesystem::path join_key_file() const { return options.folder / "join.key"; }
    std::filesystem::path backup_file() const { return options.folder / "backup.tar"; }
    std::filesystem::path admin_key_file() const { return options.folder / "admin.key"; }
    /// HOST:PORT under which this machine reaches the master, for slaves and clients beside it.
    std::filesystem::path address_file() const { return options.folder / "address"; }

  private:
    StoreBatch load();
    void remove_old_backup();
};

/// A new key in the keyring, and the operation that records it.
KeyRecord add_key(Context& context, std::string_view role, std::string_view name,
                  std::string_view node_id, StoreBatch& batch);

/// The node as people see it, with what it does for jobs.
NodeView node_view(const Context& context, const Node& node, Instant now);

/// The master's own description.
MasterView master_view(Context& context);

/// Tells every watcher what changed since it was last told. To be called a few times a second.
void feed_watchers(Context& context, Instant now);

/// Forgets what is too old or too much, now and then, as long as the master lives.
asio::awaitable<void> keep_house(Context& context);

/// Its look at files. What a job names, itself or in a list of files, stays while all of that is
/// not too much; then the oldest ended jobs go, and their files with them the next time. Whether
/// others were unused for too long is looked at only if `by_age`: that takes a look at all jobs.
asio::awaitable<void> forget_blobs(Context& context, bool by_age);

}  // namespace rpic
