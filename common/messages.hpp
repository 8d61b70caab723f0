#pragma once

#include <boost/describe/class.hpp>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "common/histogram.hpp"
#include "common/job_messages.hpp"

/// Everything that travels between the programs of one cluster, as plain structs, in one page.
///
/// On the wire a message is {"type": T, "payload": P} ended by one "\r"; T is `type_name`, P an
/// object with the described members. Unknown members are ignored and missing ones keep their
/// default, so that two neighbouring versions understand each other. docs/protocol.md is the
/// description for people who write a peer of their own; the seed texts' own protocol, which
/// `--plain` opens, is in plain_messages.hpp.
namespace rpic {

inline constexpr int protocol_version = 1;

// ---------------------------------------------------------------- what a node is and how it feels

/// What a machine is. Told once per connection.
struct MachineFacts {
    std::string hostname;
    std::string arch;            // of the programs, in Debian's names: amd64 arm64 armhf armel i386
    std::string kernel_arch;     // machine of uname(2): x86_64 aarch64 armv7l armv6l
    std::string cpu;             // model, for display
    std::int64_t cpu_cores = 0;  // that may be used: a container's limit counts, not the host's
    std::int64_t ram_bytes = 0;  // that may be used, likewise
    std::string os;              // PRETTY_NAME of os-release(5)
    std::string kernel;          // release of uname(2)
    std::string board;           // model of the board or PC; empty: not known
    std::string serial;          // of the board or PC; likewise

    bool operator==(const MachineFacts&) const = default;
};
BOOST_DESCRIBE_STRUCT(MachineFacts, (),
                      (hostname, arch, kernel_arch, cpu, cpu_cores, ram_bytes, os, kernel, board,
                       serial))

/// How a machine feels. Told with every heartbeat; what a machine cannot measure is null.
struct Vitals {
    std::optional<double> cpu_percent;  // 0 to 100 over all usable cores, since the last heartbeat
    std::optional<std::int64_t> ram_available_bytes;
    std::optional<std::int64_t> swap_bytes;  // all of it; 0: there is none
    std::optional<std::int64_t> swap_used_bytes;
    std::optional<double> load_1m;
    std::optional<double> temperature_c;
    std::optional<bool> undervoltage;
    std::optional<bool> throttled;          // by the firmware
    std::optional<bool> undervoltage_seen;  // since the boot, or the start of the slave
    std::optional<bool> frequency_capped;   // below what the CPU can do
    std::optional<std::int64_t> cpu_mhz_max;
    std::optional<std::int64_t> cpu_mhz_limit;  // as capped
    std::optional<std::int64_t> disk_bytes;     // of the file system with the node's state
    std::optional<std::int64_t> disk_free_bytes;
    std::optional<bool> disk_read_only;       // it or the root's; null: neither is on a disk
    std::optional<std::int64_t> disk_errors;  // that ext4 has counted
    std::string network;                      // the interface that leads to others
    std::optional<std::int64_t> network_mbps;
    std::optional<std::int64_t> network_received_bytes;  // since the boot, as the two behind it
    std::optional<std::int64_t> network_sent_bytes;
    std::optional<std::int64_t> network_errors;
    std::optional<double> pressure_cpu;  // percent of the last 10 s in which something waited ...
    std::optional<double> pressure_memory;  // ... for it; null where the kernel does not count
    std::optional<double> pressure_io;
    std::optional<bool> clock_set;  // somebody keeps the wall clock right
};
BOOST_DESCRIBE_STRUCT(Vitals, (),
                      (cpu_percent, ram_available_bytes, swap_bytes, swap_used_bytes, load_1m,
                       temperature_c, undervoltage, throttled, undervoltage_seen, frequency_capped,
                       cpu_mhz_max, cpu_mhz_limit, disk_bytes, disk_free_bytes, disk_read_only,
                       disk_errors, network, network_mbps, network_received_bytes,
                       network_sent_bytes, network_errors, pressure_cpu, pressure_memory,
                       pressure_io, clock_set))

/// A node as people and scripts see it: the `node` of `rpicluster nodes -o json` and of the HTTP
/// API. These names are a contract.
struct NodeView {
    std::string id;
    std::string name;
    std::string state;  // online | suspect | lost | removed
    bool draining = false;
    bool quarantined = false;
    std::vector<std::string> unwell;  // reasons, in words
    std::string role;                 // worker | basic | webserver
    bool plain = false;
    std::string address;  // IP:PORT of its connection, or of its last one
    std::string hostname;
    std::string arch;
    std::string kernel_arch;
    std::string cpu;
    std::string board;   // model
    std::string serial;  // of the board
    std::int64_t cpu_cores = 0;
    std::int64_t ram_bytes = 0;
    std::string os;
    std::string kernel;
    std::string version;            // of the slave; empty for plain ones
    std::int64_t cpus = 0;          // offered to jobs
    std::int64_t memory_bytes = 0;  // likewise
    std::map<std::string, std::string> labels;
    Vitals vitals;
    std::optional<double> last_seen_seconds;  // since the last byte from it; null: not since the
                                              // master started
    std::int64_t running_tasks = 0;
    std::int64_t waiting_tasks = 0;  // queued ahead on it
    double free_cpus = 0;
    std::int64_t free_memory_bytes = 0;
    std::map<std::string, std::int64_t> resources;
    std::string isolation;        // of tasks: user | none; empty for nodes that run none
    std::optional<double> speed;  // measured, relative to the mean of the cluster
    std::int64_t reconnects = 0;  // since the master started
};
BOOST_DESCRIBE_STRUCT(NodeView, (),
                      (id, name, state, draining, quarantined, unwell, role, plain, address,
                       hostname, arch, kernel_arch, cpu, board, serial, cpu_cores, ram_bytes, os,
                       kernel, version, cpus, memory_bytes, labels, vitals, last_seen_seconds,
                       running_tasks, waiting_tasks, free_cpus, free_memory_bytes, resources,
                       isolation, speed, reconnects))

/// The master as people and scripts see it: the `master` of the HTTP API.
struct MasterView {
    MachineFacts machine;
    Vitals vitals;
    std::string version;
    double uptime_seconds = 0;
    std::int64_t rss_bytes = 0;
    std::map<std::string, std::int64_t> nodes;  // state -> how many
};
BOOST_DESCRIBE_STRUCT(MasterView, (), (machine, vitals, version, uptime_seconds, rss_bytes, nodes))

// ---------------------------------------------------------------------------------- first contact

/// First message of every encrypted connection, from the side that connected.
struct Hello {
    static constexpr std::string_view type_name = "hello";
    std::string version;
    int protocol = 0;
    std::string peer;  // node | client
    // The rest is a node's.
    std::string role;         // worker | basic | webserver
    std::string name;         // wished for; the welcome says which one it became
    std::string fingerprint;  // of the board or container
    std::string boot_id;      // /proc/sys/kernel/random/boot_id
    double heartbeat_seconds = 0;
    MachineFacts machine;
    std::int64_t cpus = 0;          // offered to jobs
    std::int64_t memory_bytes = 0;  // likewise
    std::map<std::string, std::string> labels;
    std::map<std::string, std::int64_t> resources;  // named ones, offered to jobs
    std::string isolation;                          // of tasks: user | none
};
BOOST_DESCRIBE_STRUCT(Hello, (),
                      (version, protocol, peer, role, name, fingerprint, boot_id, heartbeat_seconds,
                       machine, cpus, memory_bytes, labels, resources, isolation))

/// The master's answer to a hello that it accepts.
struct Welcome {
    static constexpr std::string_view type_name = "welcome";
    std::string version;
    int protocol = 0;
    std::string cluster;  // id of this cluster, made with its store
    // The rest is for nodes.
    std::string node_id;
    std::string name;
    std::string node_key;    // only after a join: the key of this node from now on
    std::int64_t epoch = 0;  // of the store: grows when a backup is restored
};
BOOST_DESCRIBE_STRUCT(Welcome, (), (version, protocol, cluster, node_id, name, node_key, epoch))

/// A node has its key on disk: only now may the master count on it.
struct KeyStored {
    static constexpr std::string_view type_name = "key_stored";
};
BOOST_DESCRIBE_STRUCT(KeyStored, (), ())

/// The master ends the connection and says why.
struct Refused {
    static constexpr std::string_view type_name = "refused";
    std::string code;  // removed | replaced | protocol | role | full | stopping
    std::string reason;
};
BOOST_DESCRIBE_STRUCT(Refused, (), (code, reason))

/// Answer to a message that is unknown or does not make sense; the connection lives.
struct BadMessage {
    static constexpr std::string_view type_name = "bad_message";
    std::string reason;
};
BOOST_DESCRIBE_STRUCT(BadMessage, (), (reason))

/// The sender ends the connection on purpose (SIGTERM).
struct Bye {
    static constexpr std::string_view type_name = "bye";
    std::string reason;
};
BOOST_DESCRIBE_STRUCT(Bye, (), (reason))

// --------------------------------------------------------------------------------- node <-> master

struct Heartbeat {
    static constexpr std::string_view type_name = "heartbeat";
    std::int64_t sequence = 0;
    Vitals vitals;
};
BOOST_DESCRIBE_STRUCT(Heartbeat, (), (sequence, vitals))

struct HeartbeatAck {
    static constexpr std::string_view type_name = "heartbeat_ack";
    std::int64_t sequence = 0;
};
BOOST_DESCRIBE_STRUCT(HeartbeatAck, (), (sequence))

// Watching: a webserver is told about every node once, then about each change; likewise about the
// newest jobs, about what runs, and about what happens.

struct Watch {
    static constexpr std::string_view type_name = "watch";
};
BOOST_DESCRIBE_STRUCT(Watch, (), ())

struct NodesChanged {
    static constexpr std::string_view type_name = "nodes_changed";
    std::vector<NodeView> nodes;    // new or changed
    std::vector<std::string> gone;  // ids
    bool complete = false;          // the first picture ends with this one
};
BOOST_DESCRIBE_STRUCT(NodesChanged, (), (nodes, gone, complete))

struct MasterChanged {
    static constexpr std::string_view type_name = "master_changed";
    MasterView master;
};
BOOST_DESCRIBE_STRUCT(MasterChanged, (), (master))

/// The newest limits::shown_jobs jobs, then what changes about them.
struct JobsChanged {
    static constexpr std::string_view type_name = "jobs_changed";
    std::vector<JobView> jobs;      // new or changed
    std::vector<std::string> gone;  // ids of those that are forgotten, or too old
};
BOOST_DESCRIBE_STRUCT(JobsChanged, (), (jobs, gone))

struct RunsChanged {
    static constexpr std::string_view type_name = "runs_changed";
    std::vector<RunView> runs;
    bool anew = false;         // what was told before is to be forgotten
    std::int64_t skipped = 0;  // since the master's start: came faster than is told
};
BOOST_DESCRIBE_STRUCT(RunsChanged, (), (runs, anew, skipped))

struct EventsHappened {
    static constexpr std::string_view type_name = "events_happened";
    std::vector<EventView> events;
};
BOOST_DESCRIBE_STRUCT(EventsHappened, (), (events))

/// A webserver asks what a token that came with a request may do.
struct CheckToken {
    static constexpr std::string_view type_name = "check_token";
    std::int64_t id = 0;
    std::string token;
};
BOOST_DESCRIBE_STRUCT(CheckToken, (), (id, token))

struct TokenChecked {
    static constexpr std::string_view type_name = "token_checked";
    std::int64_t id = 0;
    std::string role;  // viewer | submit | admin; empty: unknown, expired or revoked
    std::string name;  // of the token
};
BOOST_DESCRIBE_STRUCT(TokenChecked, (), (id, role, name))

// ------------------------------------------------------------------------------- client <-> master
// Requests carry an id which their answers repeat; answers of several requests may interleave.

struct ListNodes {
    static constexpr std::string_view type_name = "list_nodes";
    std::int64_t id = 0;
};
BOOST_DESCRIBE_STRUCT(ListNodes, (), (id))

struct NodeList {
    static constexpr std::string_view type_name = "node_list";
    std::int64_t id = 0;
    std::vector<NodeView> nodes;
    bool more = false;  // another page follows
};
BOOST_DESCRIBE_STRUCT(NodeList, (), (id, nodes, more))

struct GetStatus {
    static constexpr std::string_view type_name = "get_status";
    std::int64_t id = 0;
};
BOOST_DESCRIBE_STRUCT(GetStatus, (), (id))

struct Status {
    static constexpr std::string_view type_name = "status";
    std::int64_t id = 0;
    std::string master_version;
    std::string cluster;
    std::map<std::string, std::int64_t> nodes;  // online, suspect, lost -> how many
    std::int64_t nodes_unwell = 0;
    std::map<std::string, std::int64_t> jobs;  // state -> how many
    std::int64_t rss_bytes = 0;
    std::int64_t bytes_written = 0;  // to disk, since the start
    double uptime_seconds = 0;
    std::map<std::string, std::int64_t> counters;  // what was refused, closed, dropped
};
BOOST_DESCRIBE_STRUCT(Status, (),
                      (id, master_version, cluster, nodes, nodes_unwell, jobs, rss_bytes,
                       bytes_written, uptime_seconds, counters))

/// What a webserver tells to those who measure, every few seconds.
struct MetricsChanged {
    static constexpr std::string_view type_name = "metrics_changed";
    Status status;
    std::map<std::string, std::int64_t> tasks;  // state -> how many, of all jobs that are kept
    Histogram task_seconds;                     // how long tasks ran that have a result
    Histogram wait_seconds;                     // see OrderStart::waited_seconds
};
BOOST_DESCRIBE_STRUCT(MetricsChanged, (), (status, tasks, task_seconds, wait_seconds))

/// The join key, after replacing it when `rotate` is set.
struct GetJoinKey {
    static constexpr std::string_view type_name = "get_join_key";
    std::int64_t id = 0;
    bool rotate = false;
};
BOOST_DESCRIBE_STRUCT(GetJoinKey, (), (id, rotate))

struct JoinKey {
    static constexpr std::string_view type_name = "join_key";
    std::int64_t id = 0;
    std::string join_key;
};
BOOST_DESCRIBE_STRUCT(JoinKey, (), (id, join_key))

struct CreateToken {
    static constexpr std::string_view type_name = "create_token";
    std::int64_t id = 0;
    std::string role;  // viewer | submit | admin
    std::string name;
    std::int64_t ttl_seconds = 0;  // 0: for ever
};
BOOST_DESCRIBE_STRUCT(CreateToken, (), (id, role, name, ttl_seconds))

struct TokenCreated {
    static constexpr std::string_view type_name = "token_created";
    std::int64_t id = 0;
    std::string token;
    std::string name;
};
BOOST_DESCRIBE_STRUCT(TokenCreated, (), (id, token, name))

struct ListTokens {
    static constexpr std::string_view type_name = "list_tokens";
    std::int64_t id = 0;
};
BOOST_DESCRIBE_STRUCT(ListTokens, (), (id))

struct TokenView {
    std::string name;
    std::string role;
    std::string created_at;
    std::optional<std::string> expires_at;
};
BOOST_DESCRIBE_STRUCT(TokenView, (), (name, role, created_at, expires_at))

struct TokenList {
    static constexpr std::string_view type_name = "token_list";
    std::int64_t id = 0;
    std::vector<TokenView> tokens;
    bool more = false;
};
BOOST_DESCRIBE_STRUCT(TokenList, (), (id, tokens, more))

struct RevokeToken {
    static constexpr std::string_view type_name = "revoke_token";
    std::int64_t id = 0;
    std::string name;
};
BOOST_DESCRIBE_STRUCT(RevokeToken, (), (id, name))

struct RemoveNode {
    static constexpr std::string_view type_name = "remove_node";
    std::int64_t id = 0;
    std::string node;  // name or id
};
BOOST_DESCRIBE_STRUCT(RemoveNode, (), (id, node))

/// What was asked for is done (and on disk).
struct Done {
    static constexpr std::string_view type_name = "done";
    std::int64_t id = 0;
    std::string job;         // the one that it was about, whatever it was called by; or empty
    bool had_ended = false;  // all jobs that it was about: there was nothing to change
};
BOOST_DESCRIBE_STRUCT(Done, (), (id, job, had_ended))

/// What was asked for cannot be done.
struct Failed {
    static constexpr std::string_view type_name = "failed";
    std::int64_t id = 0;
    std::string code;  // not_found | forbidden | bad_request | conflict | full | failed (the disk)
    std::string reason;
};
BOOST_DESCRIBE_STRUCT(Failed, (), (id, code, reason))

// ----------------------------------------------------------------------- who may say what to whom

using FromNode = std::variant<Heartbeat, AttemptsEnded, AttemptsStarted, AttemptsRetracted, Resync,
                              PowerTaken, KeyStored, Bye, Watch, CheckToken>;
using ToNode =
    std::variant<Welcome, Refused, BadMessage, HeartbeatAck, StartTasks, StopAttempts, AckAttempts,
                 Resynced, DropJob, OpenBulk, Power, NodesChanged, MasterChanged, JobsChanged,
                 RunsChanged, EventsHappened, MetricsChanged, TokenChecked>;
using FromClient =
    std::variant<ListNodes, GetStatus, GetJoinKey, CreateToken, ListTokens, RevokeToken, RemoveNode,
                 Submit, ListJobs, GetJob, CancelJobs, RetryJob, HoldJobs, SetPriority, ExplainJob,
                 WatchJobs, WatchEvents, ChangeNode, HaveBlobs, PutChunk, GetChunk, ReadOutput,
                 MakeBackup, Bye>;
using ToClient =
    std::variant<Welcome, Refused, BadMessage, NodeList, Status, JoinKey, TokenCreated, TokenList,
                 Submitted, JobList, JobDetail, TaskList, Explanation, EventList, MissingBlobs,
                 ChunkStored, Chunk, Output, BackupMade, Done, Failed>;
// The bulk link of a node, which has said `bulk` as its first message.
using FromBulk = std::variant<HaveBlobs, PutChunk, GetChunk, Output, Failed, Bye>;
using ToBulk =
    std::variant<MissingBlobs, ChunkStored, Chunk, ReadOutput, Refused, BadMessage, Failed>;

}  // namespace rpic
