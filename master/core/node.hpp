#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/clock.hpp"
#include "common/messages.hpp"
#include "master/core/health.hpp"

namespace rpic {

/// Number of a connection, never used twice while the master runs; 0 is none.
using SessionId = std::uint64_t;

enum class NodeState { online, suspect, lost };

std::string_view state_name(NodeState state);

/// What of a node outlives the master: one row of the store.
struct NodeRecord {
    std::string id;            // 32 hex digits
    std::string name;          // unique
    std::string wished_name;   // what the node asked for; another wish later is a new name
    std::string role;          // worker | basic | webserver
    std::string key_identity;  // of the key that the node has, or that it was given last
    /// Of those that it was given before, oldest first, as long as nobody knows which one it has.
    std::vector<std::string> offered_keys;
    std::string fingerprint;
    bool confirmed = false;  // the node has its key on disk
    std::string version;
    MachineFacts machine;
    std::int64_t cpus = 0;                          // offered to jobs
    std::int64_t memory_bytes = 0;                  // likewise
    std::map<std::string, std::string> labels;      // as the node says
    std::map<std::string, std::string> set_labels;  // by `label`: they come first; "" removes one
    std::map<std::string, std::int64_t> resources;  // named ones, offered to jobs
    std::string isolation;                          // of tasks: user | none
    bool draining = false;                          // gets no new work
    /// What still runs so long after the drain was asked for is moved; 0: never. No clock outlives
    /// the master, so after its start the time begins anew.
    double drain_seconds = 0;
    std::string power;       // reboot | poweroff: ordered once nothing runs there; empty: neither
    std::string power_boot;  // boot_id in which it was ordered; empty: it was not yet
    std::string quarantine;  // why it gets none; empty: it does

    bool operator==(const NodeRecord&) const = default;
};
BOOST_DESCRIBE_STRUCT(NodeRecord, (),
                      (id, name, wished_name, role, key_identity, offered_keys, fingerprint,
                       confirmed, version, machine, cpus, memory_bytes, labels, set_labels,
                       resources, isolation, draining, drain_seconds, power, power_boot,
                       quarantine))

/// Both kinds of labels together.
std::map<std::string, std::string> labels_of(const NodeRecord& record);

/// A slave as the master sees it.
struct Node {
    NodeRecord record;
    bool plain = false;  // speaks the seeds' protocol: reports and asks, never gets work
    bool named = false;  // a plain node has told its host name
    NodeState state = NodeState::suspect;
    SessionId session = 0;    // 0: no connection
    std::string session_key;  // identity of the key that it came with, or was given in it
    std::string address;      // of the connection, or of the last one
    std::string boot_id;
    std::optional<Instant> last_heard;  // nothing: not since the master started
    std::optional<Instant> lost_at;
    Vitals vitals;
    Health health;                 // what they mean
    std::int64_t connections = 0;  // since the master started
    std::int64_t copies = 0;       // other machines that came with its key since then
    std::uint64_t changed = 0;     // Cluster::version() of the last change that viewers see
};

/// The node as `rpicluster nodes -o json` shows it.
NodeView view_of(const Node& node, Instant now);

}  // namespace rpic
