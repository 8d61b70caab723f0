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
#include "master/core/keyring.hpp"
#include "master/counters.hpp"
#include "master/lobby.hpp"
#include "master/sessions.hpp"
#include "master/store.hpp"

namespace rpic {

struct MasterOptions {
    std::string bind;              // empty: every address, IPv4 and IPv6
    std::uint16_t port = 12345;    // 0: any free one
    std::filesystem::path folder;  // <state dir>/master
    bool plain = false;
};

/// The parts of a running master. It outlives every session; all of it belongs to the one loop.
struct Context {
    Context(const asio::any_io_executor& executor, const MasterOptions& chosen);

    MasterOptions options;
    Instant started = Clock::now();
    Store store;
    BlobStore blobs;
    FileThread files;  // where the blobs are read and written
    BulkLinks bulk;
    Counters counters;
    Keyring keyring;
    Cluster cluster;
    std::string cluster_id;
    Machine machine;
    Vitals vitals;  // of the master's own machine, measured now and then
    Sessions sessions;
    Lobby lobby;
    TlsServer tls;
    std::size_t clients = 0;
    bool stopping = false;

    std::filesystem::path join_key_file() const { return options.folder / "join.key"; }
    std::filesystem::path admin_key_file() const { return options.folder / "admin.key"; }
    /// HOST:PORT under which this machine reaches the master, for slaves and clients beside it.
    std::filesystem::path address_file() const { return options.folder / "address"; }

  private:
    StoreBatch load();
};

/// A new key in the keyring, and the operation that records it.
KeyRecord add_key(Context& context, std::string_view role, std::string_view name,
                  std::string_view node_id, StoreBatch& batch);

/// Carries out what the cluster decided: log and sessions at once; what must be recorded is
/// returned, to be committed before anything that depends on it is sent.
[[nodiscard]] StoreBatch apply_effects(Context& context, const Effects& effects);

/// The same for decisions whose records nobody waits for.
void apply_and_record(Context& context, const Effects& effects);

/// The master's own description.
MasterView master_view(Context& context);

/// Tells every watcher what changed since it was last told. To be called a few times a second.
void feed_watchers(Context& context, Instant now);

}  // namespace rpic
