#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

/// Every limit of the system, in one page. Each has a name, a consequence (in its comment) and a
/// counter where the limit is enforced. `rpicluster status -o json` shows the counters.
namespace rpic::limits {

using namespace std::chrono_literals;

// Peers that have not proved who they are: until the TLS handshake is complete, or until the first
// valid frame of a plain peer.
inline constexpr std::size_t unauthenticated_frame_bytes = 4 * 1024;  // more: closed
inline constexpr auto unauthenticated_time = 5s;           // counted from the accept; later: closed
inline constexpr auto unauthenticated_time_crowded = 1s;   // the same while accepting is paused
inline constexpr std::size_t unauthenticated_peers = 256;  // more: accepting pauses
inline constexpr std::size_t unauthenticated_per_address = 16;  // more: the oldest that sent
                                                                // nothing is closed
inline constexpr auto unauthenticated_grace = 300ms;  // no connection younger than this is closed
                                                      // for its neighbours' sake
inline constexpr auto hello_time = 10s;  // from the accept to the hello of an encrypted peer

// Frames.
inline constexpr std::size_t control_frame_bytes = 64 * 1024;  // more: the connection is closed
inline constexpr std::size_t raw_tail_bytes = 256 * 1024;      // more: the connection is closed
inline constexpr int json_depth = 16;                          // deeper: the connection is closed
inline constexpr std::size_t page_bytes = 48 * 1024;  // longer lists are sent in several frames

// What waits to be sent to one peer.
inline constexpr std::size_t outbox_soft_bytes = 1024 * 1024;      // above: no new work for it
inline constexpr std::size_t outbox_hard_bytes = 4 * 1024 * 1024;  // above: closed
inline constexpr auto write_stall = 20s;  // no byte accepted by the peer for so long: closed
inline constexpr auto end_time = 1s;      // a peer that was told to go and does not: closed

// One turn of the loop.
inline constexpr std::size_t read_bytes =
    64 * 1024;  // read from one peer before the next is served

// Text that a peer reports about itself: longer is cut.
inline constexpr std::size_t name_chars = 63;   // names of nodes and tokens: a DNS label
inline constexpr std::size_t text_chars = 256;  // hostname, CPU model, reasons
inline constexpr std::size_t labels_bytes =
    4096;  // all labels of a node together: more are dropped
inline constexpr std::size_t node_resources = 64;   // named ones of a node: more are dropped
inline constexpr std::size_t log_text_chars = 200;  // quoted from a peer into the log
inline constexpr std::size_t log_line_chars = 512;  // of a line that a peer can cause: cut

// Nodes and keys.
inline constexpr int listen_backlog = 4096;  // connections that the kernel accepts ahead of us
inline constexpr auto request_time = 20s;    // a client waits that long for an answer: unreachable
inline constexpr std::size_t clients = 256;  // `rpicluster` connections at once; more: refused
inline constexpr std::size_t admin_clients = 16;    // of them, kept free for keys that may do all
inline constexpr std::size_t nodes = 20'000;        // more: the join is refused
inline constexpr std::int64_t copies_of_node = 16;  // that join with its key; more: refused
inline constexpr std::size_t plain_nodes =
    15'000;  // likewise, counted apart: strangers can be plain
inline constexpr std::size_t plain_nodes_kept = 256;  // disconnected plain nodes still shown
inline constexpr auto plain_node_kept = 10min;        // after its connection ended: forgotten
inline constexpr std::size_t tokens = 1'000;          // more: `token create` is refused
inline constexpr std::size_t offered_keys =
    8;  // given to a node that has confirmed none: of more the oldest is worth nothing

// Logging about peers: one line at once for each class and address, then one a minute.
inline constexpr auto peer_log_interval = 60s;
inline constexpr std::size_t peer_log_entries = 1024;  // further addresses share one entry
inline constexpr std::size_t log_file_bytes = 10 * 1024 * 1024;  // larger: rotated
inline constexpr std::size_t log_files = 3;                      // older: deleted

// Liveness. A node beats every `heartbeat`; silence makes it suspect, then lost.
inline constexpr auto heartbeat = 5s;
inline constexpr auto heartbeat_min = 50ms;  // --heartbeat accepts from here ...
inline constexpr auto heartbeat_max =
    10s;  // ... to here: below suspect_after with room for one loss
inline constexpr auto suspect_after = 15s;
inline constexpr auto lost_after = 20s;
inline constexpr auto lost_after_master_start = 90s;
inline constexpr auto master_silence = 15s;  // a slave that hears nothing for so long reconnects

// Health: a node at or above this temperature is shown as unwell.
inline constexpr int hot_celsius = 80;     // ... and gets no new work
inline constexpr int cooled_celsius = 75;  // until it is below this one
inline constexpr int warm_celsius = 70;    // it is chosen later than a cool one
inline constexpr std::int64_t low_disk_bytes =
    256 * 1024 * 1024;                    // less is free: unwell, and chosen later
inline constexpr int low_disk_part = 20;  // ... of smaller disks this part: a twentieth
inline constexpr auto unwell_kept = 30s;  // under-voltage comes and goes: unwell so long after it

// Jobs.
inline constexpr std::int64_t tasks_per_job = 1'000'000;        // more: the submit is refused
inline constexpr std::size_t jobs = 100'000;                    // ended ones too; more: refused
inline constexpr std::int64_t array_index = 1'000'000'000'000;  // of a task; above: refused
inline constexpr std::size_t selector_ranges = 4096;            // of a selector; more: refused
inline constexpr std::size_t command_bytes = 1024 * 1024;  // with its item; more: cannot be run
inline constexpr std::size_t job_file_bytes = 4 * 1024 * 1024;  // more: refused
inline constexpr std::size_t job_file_jobs = 10'000;            // more: refused
inline constexpr std::size_t job_spec_bytes = 40 * 1024;        // as JSON; more: refused
inline constexpr std::int64_t job_cpus = 4096;                  // of one task; more: refused
inline constexpr std::int64_t job_retries = 1000;               // more: refused
inline constexpr std::int64_t job_priority = 1'000'000;         // above or below: refused
inline constexpr std::size_t explained_nodes = 200;             // shown for one job, nearest first
inline constexpr int downloads_per_folder = 100;                // at the same time: more fail
inline constexpr std::size_t requests_ahead = 4;  // of a client that are read before their turn
inline constexpr std::int64_t master_blob_bytes = std::int64_t{8}
                                                  << 30;  // more: those that no
                                                          // job names go, oldest first
inline constexpr auto housekeeping_interval = 60s;        // between looks at what is too old
inline constexpr auto backup_kept = 60min;                // a backup that was made, for its client
inline constexpr std::size_t job_dependencies = 256;      // more: refused
inline constexpr std::size_t job_name_bytes = 256;        // of UTF-8; more: refused
inline constexpr std::size_t item_bytes = 8 * 1024;       // of one item; more: refused
inline constexpr std::size_t where_chars = 2048;          // of an expression; more: refused
inline constexpr int where_depth = 32;                    // nested deeper: refused
inline constexpr auto lost_after_stop = 120s;             // default under on_disconnect=stop
inline constexpr auto stop_kill_time = 8s;  // that a node needs at most to see and end a lease
inline constexpr auto lost_after_stop_min = 60s;  // less: refused
inline constexpr int live_attempts = 2;           // of a task; the oldest gives way
inline constexpr int poison_deaths = 3;  // nodes or runners that died with a task: it fails
inline constexpr auto retry_first = 1s;  // doubling ...
inline constexpr auto retry_max = 60s;   // ... up to this
inline constexpr std::size_t attempts_of_node = 100'000;  // listed by one: more: closed
inline constexpr std::size_t events_kept = 10'000;        // in memory; older ones are forgotten
inline constexpr std::int64_t node_tasks = 1024;  // run on a node at once; further ones wait
inline constexpr std::size_t placements_per_turn = 4096;  // the rest waits for the next turn
inline constexpr std::size_t shapes_per_turn = 256;       // likewise: kinds of waiting jobs
inline constexpr auto ahead_work = 50ms;                  // measured work that waits on a node
inline constexpr std::int64_t ahead_tasks = 512;          // of a node, whatever they take
inline constexpr auto turn_gather = 25ms;  // under load a turn's records wait so long for others
inline constexpr std::int64_t free_disk_bytes = 64 * 1024 * 1024;  // less: submits are refused
inline constexpr std::int64_t free_disk_results =
    16 * 1024 * 1024;  // less: what tasks made waits on its node; the rest is for the database
inline constexpr int quarantine_failures = 3;  // tasks in a row that a node failed and another did

// A node's attempts.
inline constexpr std::size_t node_attempts = 16'384;  // more orders: the link is ended
inline constexpr auto started_after = 100ms;  // a task that ends sooner is only told as ended
inline constexpr auto attempts_tick = 25ms;   // what is told later shares a message
inline constexpr std::size_t held_output_bytes =
    1024 * 1024;  // of ended tasks, without a link: the rest is read from the runner again
inline constexpr std::size_t work_folders_kept = 64;  // empty ones, for later tasks; more: removed
inline constexpr auto work_folders_kept_time = 1s;    // after the last attempt: removed
inline constexpr std::size_t work_folders_at_once = 64;  // made or removed in one go
inline constexpr int fetches_at_once = 4;  // attempts whose input files are brought; others wait
inline constexpr int collections_at_once = 2;  // likewise: output and files that go to the master
inline constexpr auto collect_retry = 5s;      // while the master cannot take what a task made
inline constexpr int collect_conflicts = 5;    // tries of what arrives damaged; then it is lost
inline constexpr std::size_t states_per_page = 256;  // of attempts in one message; more: several
inline constexpr auto kill_grace = 5s;               // between TERM and KILL
inline constexpr auto power_time = 60s;  // a reboot command that takes longer is left alone
inline constexpr std::size_t heartbeats_remembered = 1024;  // unanswered ones; older: no lease
inline constexpr std::size_t task_groups = 64;              // of the task user; more: refused

// What a task prints.
inline constexpr std::size_t output_bytes = 64 * 1024 * 1024;  // of an attempt; then a note
inline constexpr std::size_t inline_output_bytes = 64 * 1024;  // more: kept in a file of its own
inline constexpr std::int64_t output_segment_bytes = 64 * 1024 * 1024;  // then the next file
inline constexpr std::size_t output_files_open = 32;         // of the store; more: all are closed
inline constexpr std::int64_t row_output_bytes = 16 * 1024;  // of a job in the database; then files
inline constexpr auto output_wait = 10s;  // a reader that waits for output asks again after it

// Files that travel.
inline constexpr std::size_t chunk_bytes = 256 * 1024;             // of one request
inline constexpr std::int64_t blob_bytes = std::int64_t{1} << 40;  // of one file; more: refused
inline constexpr std::size_t manifest_bytes = 64 * 1024 * 1024;    // of a list of files; refused
inline constexpr std::size_t path_bytes = 4096;                    // of a path in it; refused
inline constexpr std::size_t blobs_per_request = 500;              // asked about at once
inline constexpr std::size_t manifest_entries = 200'000;  // of a list of files; more: refused
inline constexpr int folder_depth = 128;                  // folders nested deeper: refused
inline constexpr std::size_t glob_chars = 1024;           // of a pattern of --out; more: refused
inline constexpr auto bulk_idle = 15s;  // a bulk link that carries nothing is closed by the node
inline constexpr auto bulk_silence = 1min;   // the same by the master: that node is gone
inline constexpr auto bulk_open_time = 10s;  // until a node that was asked to open one has done so
inline constexpr int bulk_transfers = 2;     // of one node at once; further ones wait
inline constexpr int chunks_ahead = 2;       // requests of one transfer that are under way
inline constexpr std::size_t node_questions = 256;  // for output, unanswered; more: not asked
inline constexpr std::size_t partial_blobs = 32;    // open at once; the rest is read again first
inline constexpr auto partial_kept = 24h;      // a blob that is not whole and that nobody continues
                                               // for so long is deleted
inline constexpr auto partial_spared = 10min;  // likewise, the oldest first, while those that are
                                               // not whole are more than the store may hold
inline constexpr auto rehash_time = 5s;   // to read a partial upload again; the rest is sent anew
inline constexpr auto blob_touched = 1h;  // the last use of a blob is noted no more often
inline constexpr auto blob_held = 1h;  // what is put or asked about stays so long, for the job or
                                       // the result that is about to name it
inline constexpr std::size_t blobs_held = 200'000;  // of these; more: they may go as others do
inline constexpr std::size_t file_step_bytes = 8 * 1024 * 1024;  // copied or hashed in one go of
                                                                 // the file thread
inline constexpr std::size_t file_step_entries = 1024;           // made or removed, likewise
inline constexpr std::size_t file_queue = 64;  // work that waits for the file thread; more: the
                                               // one who brings it waits
inline constexpr auto file_thread_idle = 10s;  // a thread without work ends
inline constexpr auto thread_retry = 1s;       // after a thread could not be started
inline constexpr std::int64_t cache_bytes = std::int64_t{4} << 30;  // a node's file cache, unless
                                                                    // 10 % of its disk is less

// The runner, which owns the tasks of a node.
inline constexpr std::size_t runner_frame_bytes = 1024 * 1024;  // more: the connection is closed
inline constexpr std::size_t runner_attempts = 4096;  // known to it; more: the launch has failed
inline constexpr auto runner_idle = 10s;              // without slave and attempt: it ends
inline constexpr auto runner_idle_attached = 60s;     // without attempt, with a slave: it ends
inline constexpr auto runner_start = 10s;  // it does not answer for so long: launches have failed
inline constexpr auto runner_retry = 5s;   // after that, if something was left in its folder
inline constexpr auto runner_lock_time = 3s;  // it waits so long for its predecessor to end
inline constexpr int runner_deaths = 3;       // of runners during one launch: the launch has failed
inline constexpr auto runner_check = 250ms;   // between looks at leases, memory and suspended time
inline constexpr auto kill_sweep = 50ms;      // between two sweeps that kill a tree
inline constexpr auto kill_time = 60s;        // a tree that still lives is given up, with a warning
inline constexpr auto grace_max = 60s;        // between TERM and KILL; longer: cut
inline constexpr auto orphan_check = 1s;      // likewise, at processes that left their task
inline constexpr std::size_t task_processes = 4096;      // of an attempt; more: its fork(2) fails
inline constexpr int task_oom_score = 500;               // the kernel kills tasks before daemons
inline constexpr std::size_t spool_bytes = 1024 * 1024;  // larger, and mostly forgotten: rewritten
inline constexpr std::size_t spool_record_bytes = 2 * 1024 * 1024;  // longer: the rest is not read
inline constexpr auto spool_sync = 100ms;  // an end that is not acknowledged is on disk after it
inline constexpr auto files_sync = 2s;     // one with files, which are written first, after this

// Reconnecting.
inline constexpr auto reconnect_first = 200ms;
inline constexpr auto reconnect_early_max = 5s;      // in the first part of an outage ...
inline constexpr auto reconnect_early_part = 10min;  // ... which is this long
inline constexpr auto reconnect_max = 60s;           // the figure of the seed texts
inline constexpr auto refused_retry = 60s;           // after a refused key
inline constexpr auto connect_time = 5s;             // for one address
inline constexpr auto resolve_time = 10s;
inline constexpr auto plain_uuid_time = 5s;  // an older master of the texts may not answer

// Discovery: a slave that knows no master asks for one (common/discovery.hpp).
inline constexpr auto discovery_time = 1s;       // a slave asks and listens so long at a time
inline constexpr int discovery_questions = 4;    // on each interface in that time
inline constexpr auto discovery_patience = 10s;  // of an outage: only the last master is tried
inline constexpr auto discovery_name_time = 3s;  // for a name to be resolved; later: not found
inline constexpr std::size_t discovery_interfaces = 32;     // further ones are not asked on
inline constexpr std::size_t discovery_masters = 16;        // that are listened to; others: ignored
inline constexpr std::int64_t discovery_looked_at = 4'000;  // questions a second that a master
                                                            // reads; the kernel drops the rest
inline constexpr std::int64_t discovery_answers = 1'000;    // a second; more: not answered
inline constexpr std::int64_t discovery_per_address = 32;   // of these, likewise
inline constexpr int discovery_receive_bytes = 64 * 1024;   // that wait in the kernel

// Stopping.
inline constexpr auto stop_time = 2s;

// The web page.
inline constexpr std::size_t web_connections = 256;         // more: accepting pauses
inline constexpr std::size_t web_connections_beyond = 192;  // of these from other machines; more:
                                                            // closed, so that the own one gets in
inline constexpr std::size_t web_connections_per_address = 32;  // of another machine; more: closed
inline constexpr std::size_t web_header_bytes = 8 * 1024;       // more: 431
inline constexpr auto web_request_time = 10s;                   // slower: closed
inline constexpr auto web_idle_time = 60s;      // kept alive without a request: closed
inline constexpr auto web_linger_time = 1s;     // after the last answer: closed
inline constexpr std::size_t web_viewers = 64;  // event streams; more: 503
inline constexpr std::size_t web_viewer_outbox_bytes = 1024 * 1024;  // behind what is sent: dropped
inline constexpr std::size_t web_send_buffer_bytes = 128 * 1024;     // the kernel's, for one viewer
inline constexpr auto web_event_interval = 250ms;    // changes within it share one event
inline constexpr auto web_keep_alive = 15s;          // a comment on every event stream
inline constexpr std::size_t web_token_chars = 256;  // longer: refused without asking the master
inline constexpr int web_token_failures = 5;         // of one address in ...
inline constexpr auto web_token_window = 10s;        // ... this time; more: 429
inline constexpr std::size_t web_token_addresses = 1024;  // counted apart; further ones share one
inline constexpr auto web_token_kept = 5s;                // a good token is not asked about again
inline constexpr std::size_t web_tokens_kept = 64;        // more: asked about each time

// The HTTP API.
inline constexpr std::size_t web_body_bytes = 1024 * 1024;  // of a JSON body; more: 413
inline constexpr std::size_t web_masters = 32;  // requests that ask the master at once; more: 503
inline constexpr auto web_wait = 60s;           // ?wait=; longer: cut
inline constexpr auto web_told_time = 2s;       // a change is shown within it, or told as it was
inline constexpr std::size_t web_logins = 256;  // sessions; more: the longest unused one ends
inline constexpr auto web_login_time = 12h;     // without a request: the session ends
inline constexpr std::size_t web_page = 1000;   // of ?limit=; more: 400
inline constexpr std::size_t web_files_listed = 10'000;             // of a list of files
inline constexpr std::size_t web_manifest_bytes = 8 * 1024 * 1024;  // larger: not shown
inline constexpr std::size_t web_resume_bytes = 1024 * 1024;  // of events that are remembered,
inline constexpr auto web_resume_time = 60s;      // so long without viewers; later ones begin anew
inline constexpr auto web_history_time = 15min;   // of nodes' vitals; older: forgotten
inline constexpr auto web_history_interval = 4s;  // between two samples; others: left out
inline constexpr std::size_t web_history_samples = 65'536;  // of all nodes; more: the oldest go
inline constexpr std::size_t web_history_gaps = 32;         // of one node; likewise
inline constexpr auto web_history_kept = 1s;                // its text is not made anew
inline constexpr std::size_t shown_jobs = 200;     // the newest; others are there on request
inline constexpr std::size_t shown_events = 200;   // likewise
inline constexpr std::size_t shown_runs = 2'000;   // attempts of the task stream; others: skipped
inline constexpr auto shown_run_time = 5min;       // after its end: no longer shown
inline constexpr std::size_t runs_known = 8'192;   // attempts that the master follows for it
inline constexpr std::size_t runs_per_tell = 200;  // new ones, a quarter of a second; skipped

// InfluxDB.
inline constexpr auto influx_time = 5s;                       // for one POST; longer: given up
inline constexpr std::size_t influx_answer_bytes = 4 * 1024;  // of its answer; the rest is not read
inline constexpr std::int64_t clock_set_after = 1'700'000'000;  // wall seconds; earlier: not set

// What a machine tells about itself through /proc and /sys.
inline constexpr std::size_t machine_file_bytes = 64 * 1024;  // of a file; the rest is not read
inline constexpr std::size_t machine_entries = 256;           // of a directory, likewise
inline constexpr std::size_t machine_cpus = 8192;             // a CPU number above: no CPU list
inline constexpr std::size_t cgroup_levels = 64;              // ancestors above are not asked
inline constexpr auto cpu_interval_min = 250ms;               // sooner: the last CPU percent again
inline constexpr auto sensor_search_interval = 60s;           // for sensors that are not there
inline constexpr auto disk_look_interval = 15s;     // at mounts and errors of file systems
inline constexpr auto network_look_interval = 30s;  // at the default route and the link's speed
inline constexpr std::size_t cpu_policies = 8;      // groups of cores that are asked for a cap

// Files read at start.
inline constexpr std::size_t config_bytes = 1024 * 1024;  // larger: refused
inline constexpr std::size_t config_warnings = 20;        // unknown keys; more: only counted
inline constexpr std::size_t key_file_bytes = 4 * 1024;   // larger: refused

}  // namespace rpic::limits
