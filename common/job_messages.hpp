#pragma once

#include <boost/describe/class.hpp>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// The messages about jobs; messages.hpp says what a message is and who may say which to whom.
///
/// A job is what a user submits, a task one element of it, an attempt one run of a task on one
/// node. Tasks are named by their index, the value that RPIC_TASK shows: 0 in a job without array.
namespace rpic {

// ------------------------------------------------------------------------------------ what jobs
// are

/// What a user asks for. Stored as it is, and immutable.
struct JobSpec {
    std::string name;
    std::vector<std::string> command;
    bool shell = false;                // {} in the command are words of sh: items are put in quoted
    std::string array;                 // FIRST-LAST[:STEP][%LIMIT]; empty: no array
    std::string items;                 // blob of the items, each ended by a NUL: one task for each
    bool numbered = false;             // {} in the command stand for the index of the task
    std::int64_t item_limit = 0;       // so many tasks of an item list at once; 0: no limit
    std::vector<std::string> on_each;  // `exec`: one task for each of these nodes (ids)
    double cpus = 1;
    std::int64_t memory_bytes = 0;  // 0: not limited
    std::map<std::string, std::int64_t> resources;
    std::string where;  // where.hpp
    std::int64_t priority = 0;
    double time_limit_seconds = 0;  // 0: none
    std::int64_t retries = 0;
    std::optional<std::int64_t> max_fails;       // more failed tasks cancel the rest
    std::vector<std::string> after;              // ID, ok:ID or any:ID
    std::vector<std::string> in;                 // blobs: manifests of the files that travel along
    std::map<std::string, std::string> in_arch;  // architecture -> such a blob
    std::vector<std::string> out;                // globs of files that come back
    std::map<std::string, std::string> env;
    std::string stdin_blob;         // empty: /dev/null
    std::string cwd;                // empty: a private folder
    std::string on_disconnect;      // keep | stop
    double lost_after_seconds = 0;  // 0: the default of on_disconnect
    std::string notify;             // a command for sh, run as a job of its own at the end
    std::string idempotency_key;
    bool held = false;
};
BOOST_DESCRIBE_STRUCT(JobSpec, (),
                      (name, command, shell, array, items, numbered, item_limit, on_each, cpus,
                       memory_bytes, resources, where, priority, time_limit_seconds, retries,
                       max_fails, after, in, in_arch, out, env, stdin_blob, cwd, on_disconnect,
                       lost_after_seconds, notify, idempotency_key, held))

/// A job as people and scripts see it: the `job` of the contract.
struct JobView {
    std::string id;
    std::string name;
    std::string state;  // queued | held | running | done | failed | cancelled
    std::map<std::string, std::int64_t> tasks;  // queued running done failed cancelled -> how many
    std::string submitted_at;
    std::optional<std::string> finished_at;
    std::optional<std::string> reason;  // why it failed, was cancelled or cannot run
    std::string submitter;
    std::int64_t priority = 0;
    std::vector<std::string> command;
    std::string array;
    std::int64_t nodes = 0;  // that run tasks of it now
};
BOOST_DESCRIBE_STRUCT(JobView, (),
                      (id, name, state, tasks, submitted_at, finished_at, reason, submitter,
                       priority, command, array, nodes))

/// A task as people and scripts see it: the `task` of the contract.
struct TaskView {
    std::int64_t index = 0;
    std::string state;  // queued | running | done | failed | cancelled
    std::string node;   // name
    std::int64_t attempt = 0;
    std::optional<std::int64_t> exit_code;
    std::optional<std::int64_t> signal;
    std::optional<std::string> reason;
    std::optional<std::string> started_at;
    std::optional<double> duration_seconds;
    std::optional<std::int64_t> max_rss_bytes;
    std::optional<double> cpu_seconds;
    std::int64_t output_bytes = 0;
    std::string files;  // blob: the manifest of the files that came back; empty: none
};
BOOST_DESCRIBE_STRUCT(TaskView, (),
                      (index, state, node, attempt, exit_code, signal, reason, started_at,
                       duration_seconds, max_rss_bytes, cpu_seconds, output_bytes, files))

/// Something that happened: a line of `rpicluster events`.
struct EventView {
    std::int64_t id = 0;
    std::string at;    // RFC 3339
    std::string kind;  // node_online, node_lost, job_submitted, task_failed ...
    std::string node;  // name, or empty
    std::string job;   // id, or empty
    std::optional<std::int64_t> task;
    std::string text;
};
BOOST_DESCRIBE_STRUCT(EventView, (), (id, at, kind, node, job, task, text))

/// An attempt as the page shows it: a bar of the task stream. (job, task, attempt) names it.
struct RunView {
    std::string job;
    std::int64_t task = 0;
    std::int64_t attempt = 0;
    std::string node;                        // name
    std::string state;                       // running | done | failed | cancelled | lost
    double started_seconds_ago = 0;          // when this was told
    std::optional<double> duration_seconds;  // null while it runs
};
BOOST_DESCRIBE_STRUCT(RunView, (),
                      (job, task, attempt, node, state, started_seconds_ago, duration_seconds))

// --------------------------------------------------------------------------------- node <-> master

/// Names one attempt. A number is given once to a task and never again, not even after a restored
/// backup.
struct AttemptKey {
    std::int64_t job = 0;
    std::int64_t task = 0;
    std::int64_t attempt = 0;

    auto operator<=>(const AttemptKey&) const = default;
};
BOOST_DESCRIBE_STRUCT(AttemptKey, (), (job, task, attempt))

/// What a node needs to know of a job to run its tasks.
struct NodeJob {
    std::vector<std::string> command;
    bool shell = false;
    bool items = false;  // {} in the command stand for the item of the task
    double cpus = 1;
    std::int64_t memory_bytes = 0;
    std::map<std::string, std::int64_t> resources;
    double time_limit_seconds = 0;
    std::vector<std::string> in;  // manifests, that of the node's architecture included
    std::vector<std::string> out;
    std::map<std::string, std::string> env;
    std::string stdin_blob;
    std::string cwd;
    double stop_after_seconds = 0;  // on_disconnect=stop: T_stop of the lease; 0: keep
};
BOOST_DESCRIBE_STRUCT(NodeJob, (),
                      (command, shell, items, cpus, memory_bytes, resources, time_limit_seconds, in,
                       out, env, stdin_blob, cwd, stop_after_seconds))

struct TaskOrder {
    std::int64_t task = 0;
    std::int64_t attempt = 0;
    std::string item;
    bool ahead = false;  // waits on the node until there is room
};
BOOST_DESCRIBE_STRUCT(TaskOrder, (), (task, attempt, item, ahead))

/// Run these tasks. `spec` comes with the first order of a job on a connection.
struct StartTasks {
    static constexpr std::string_view type_name = "start_tasks";
    std::int64_t job = 0;
    std::optional<NodeJob> spec;
    std::vector<TaskOrder> tasks;
};
BOOST_DESCRIBE_STRUCT(StartTasks, (), (job, spec, tasks))

/// End these attempts. With `retract` only those that did not start yet, which are given back.
struct StopAttempts {
    static constexpr std::string_view type_name = "stop_attempts";
    std::vector<AttemptKey> attempts;
    bool retract = false;
    std::string reason;  // cancelled | superseded | drained
};
BOOST_DESCRIBE_STRUCT(StopAttempts, (), (attempts, retract, reason))

/// These results are on the master's disk (or are wanted no more): forget them.
struct AckAttempts {
    static constexpr std::string_view type_name = "ack_attempts";
    std::vector<AttemptKey> attempts;
};
BOOST_DESCRIBE_STRUCT(AckAttempts, (), (attempts))

/// The master knows no more attempt of this job on this node.
struct DropJob {
    static constexpr std::string_view type_name = "drop_job";
    std::int64_t job = 0;
};
BOOST_DESCRIBE_STRUCT(DropJob, (), (job))

struct AttemptState {
    AttemptKey key;
    std::string state;  // waiting | running | ended
};
BOOST_DESCRIBE_STRUCT(AttemptState, (), (key, state))

/// First message of a worker after its welcome: every attempt that it has. Nothing else is taken
/// from it before that. In pages; `more` says that another follows.
struct Resync {
    static constexpr std::string_view type_name = "resync";
    std::vector<AttemptState> attempts;
    bool more = false;
};
BOOST_DESCRIBE_STRUCT(Resync, (), (attempts, more))

struct Verdict {
    AttemptKey key;
    std::string verdict;  // adopt | kill | ack
};
BOOST_DESCRIBE_STRUCT(Verdict, (), (key, verdict))

/// The answer, page by page; after it come new orders, and reports are taken.
struct Resynced {
    static constexpr std::string_view type_name = "resynced";
    std::vector<Verdict> verdicts;
    bool more = false;
};
BOOST_DESCRIBE_STRUCT(Resynced, (), (verdicts, more))

/// These attempts run (told for those that do so for more than a moment).
struct AttemptsStarted {
    static constexpr std::string_view type_name = "attempts_started";
    std::vector<AttemptKey> attempts;
};
BOOST_DESCRIBE_STRUCT(AttemptsStarted, (), (attempts))

/// How one attempt ended.
struct AttemptReport {
    AttemptKey key;
    std::string outcome;  // exited     with exit_code
                          // signalled  by `signal`
                          // time_limit
                          // memory     it used more than it may
                          // cannot_execute, not_found   (126, 127)
                          // killed     by an order
                          // lease      on_disconnect=stop, and the master was away for too long
                          // runner     its runner was killed
                          // node       the node could not run it: `reason` says why
    std::optional<std::int64_t> exit_code;
    std::optional<std::int64_t> signal;
    std::string reason;           // in words, where there is more to say
    double duration_seconds = 0;  // 0 if it never ran
    double age_seconds = 0;       // since it ended
    double cpu_seconds = 0;       // user and system, of the whole tree that was waited for
    std::int64_t max_rss_bytes = 0;
    std::int64_t output_bytes = 0;  // of its output records (see output.hpp), in all
    std::int64_t inline_bytes = 0;  // of these behind the frame; the rest went over the bulk link
    std::string output_blob;        // the output, where it is not inline
    std::string files;              // the manifest of the files that came back
};
BOOST_DESCRIBE_STRUCT(AttemptReport, (),
                      (key, outcome, exit_code, signal, reason, duration_seconds, age_seconds,
                       cpu_seconds, max_rss_bytes, output_bytes, inline_bytes, output_blob, files))

/// The raw tail holds the inline outputs one after the other.
struct AttemptsEnded {
    static constexpr std::string_view type_name = "attempts_ended";
    std::vector<AttemptReport> reports;
};
BOOST_DESCRIBE_STRUCT(AttemptsEnded, (), (reports))

/// These attempts were given back before they started.
struct AttemptsRetracted {
    static constexpr std::string_view type_name = "attempts_retracted";
    std::vector<AttemptKey> attempts;
};
BOOST_DESCRIBE_STRUCT(AttemptsRetracted, (), (attempts))

/// Connect a second time, for bulk data; `bulk` with this secret is the first frame there.
struct OpenBulk {
    static constexpr std::string_view type_name = "open_bulk";
};
BOOST_DESCRIBE_STRUCT(OpenBulk, (), ())

/// Reboot or switch off.
struct Power {
    static constexpr std::string_view type_name = "power";
    std::string action;  // reboot | poweroff
};
BOOST_DESCRIBE_STRUCT(Power, (), (action))

/// The node has the order to do so, and is about to. Until then the master gives it again.
struct PowerTaken {
    static constexpr std::string_view type_name = "power_taken";
    std::string action;
};
BOOST_DESCRIBE_STRUCT(PowerTaken, (), (action))

// --------------------------------------------------- bulk data: nodes (on their bulk link),
// clients Requests are answered in order and carry at most limits::chunk_bytes each, so that
// whoever asks decides how much is under way. A blob is a file known by the SHA-256 of its
// contents, in hex.

/// First frame of a node's second connection.
struct Bulk {
    static constexpr std::string_view type_name = "bulk";
};
BOOST_DESCRIBE_STRUCT(Bulk, (), ())

struct HaveBlobs {
    static constexpr std::string_view type_name = "have_blobs";
    std::int64_t id = 0;
    std::vector<std::string> blobs;
};
BOOST_DESCRIBE_STRUCT(HaveBlobs, (), (id, blobs))

struct MissingBlobs {
    static constexpr std::string_view type_name = "missing_blobs";
    std::int64_t id = 0;
    std::vector<std::string> blobs;
};
BOOST_DESCRIBE_STRUCT(MissingBlobs, (), (id, blobs))

/// A part of a blob, in the raw tail. Parts come in order: one that does not begin where the stored
/// ones end is not stored, and the answer says where that is. So a first part that is empty and
/// begins at `size` asks from where to go on. One at 0 starts anew.
struct PutChunk {
    static constexpr std::string_view type_name = "put_chunk";
    std::int64_t id = 0;
    std::string blob;
    std::int64_t size = 0;  // of the whole
    std::int64_t offset = 0;
};
BOOST_DESCRIBE_STRUCT(PutChunk, (), (id, blob, size, offset))

/// So much of it is here; all of it, checked and durable, when that is its size.
struct ChunkStored {
    static constexpr std::string_view type_name = "chunk_stored";
    std::int64_t id = 0;
    std::int64_t received = 0;
};
BOOST_DESCRIBE_STRUCT(ChunkStored, (), (id, received))

struct GetChunk {
    static constexpr std::string_view type_name = "get_chunk";
    std::int64_t id = 0;
    std::string blob;
    std::int64_t offset = 0;
};
BOOST_DESCRIBE_STRUCT(GetChunk, (), (id, blob, offset))

struct Chunk {
    static constexpr std::string_view type_name = "chunk";
    std::int64_t id = 0;
    std::int64_t size = 0;  // of the whole blob
    std::int64_t offset = 0;
};
BOOST_DESCRIBE_STRUCT(Chunk, (), (id, size, offset))

/// The output of a task from `offset` on, as records (output.hpp). From a client to the master for
/// any task, from the master to a node for one that runs there. With `wait` the answer comes once
/// there is something beyond the offset, or nothing more to come, at the latest after
/// limits::output_wait.
struct ReadOutput {
    static constexpr std::string_view type_name = "read_output";
    std::int64_t id = 0;
    std::int64_t job = 0;
    std::int64_t task = 0;
    std::int64_t attempt = 0;  // 0: the newest
    std::int64_t offset = 0;
    bool wait = false;
};
BOOST_DESCRIBE_STRUCT(ReadOutput, (), (id, job, task, attempt, offset, wait))

/// The raw tail holds whole or partial records. Another attempt than before means that the task
/// runs again and the output starts anew.
struct Output {
    static constexpr std::string_view type_name = "output";
    std::int64_t id = 0;
    std::int64_t attempt = 0;  // 0: none was started
    std::int64_t offset = 0;   // of the raw tail
    bool complete = false;     // this attempt adds nothing behind the raw tail
    bool final = false;        // the task has ended and will not run again
};
BOOST_DESCRIBE_STRUCT(Output, (), (id, attempt, offset, complete, final))

// ------------------------------------------------------------------------------- client <-> master
// `jobs` is a selector: IDs and ranges separated by commas, "last", "all".

struct Submit {
    static constexpr std::string_view type_name = "submit";
    std::int64_t id = 0;
    JobSpec spec;
};
BOOST_DESCRIBE_STRUCT(Submit, (), (id, spec))

struct Submitted {
    static constexpr std::string_view type_name = "submitted";
    std::int64_t id = 0;
    JobView job;
    std::string warning;  // it was accepted, but no node can run it as things are
};
BOOST_DESCRIBE_STRUCT(Submitted, (), (id, job, warning))

struct ListJobs {
    static constexpr std::string_view type_name = "list_jobs";
    std::int64_t id = 0;
    std::string jobs;         // empty: all
    std::string state;        // empty: any
    std::int64_t limit = 0;   // above 0: the newest so many, newest first ...
    std::int64_t before = 0;  // ... of those with a lower id than this one; 0: of all
};
BOOST_DESCRIBE_STRUCT(ListJobs, (), (id, jobs, state, limit, before))

struct JobList {
    static constexpr std::string_view type_name = "job_list";
    std::int64_t id = 0;
    std::vector<JobView> jobs;
    bool more = false;
};
BOOST_DESCRIBE_STRUCT(JobList, (), (id, jobs, more))

struct GetJob {
    static constexpr std::string_view type_name = "get_job";
    std::int64_t id = 0;
    std::string job;
    std::string tasks;        // selector of indices: "1,3,5-8"; empty: all
    std::string state;        // of the tasks; empty: any
    std::int64_t after = -1;  // tasks with an index above this one
    std::int64_t limit = 10'000;
};
BOOST_DESCRIBE_STRUCT(GetJob, (), (id, job, tasks, state, after, limit))

/// The job, whose command is in `spec` alone, then its tasks page by page.
struct JobDetail {
    static constexpr std::string_view type_name = "job_detail";
    std::int64_t id = 0;
    JobView job;
    JobSpec spec;
};
BOOST_DESCRIBE_STRUCT(JobDetail, (), (id, job, spec))

struct TaskList {
    static constexpr std::string_view type_name = "task_list";
    std::int64_t id = 0;
    std::vector<TaskView> tasks;
    bool more = false;                 // another page follows
    std::optional<std::int64_t> next;  // there are more tasks: ask again with `after` set to this
};
BOOST_DESCRIBE_STRUCT(TaskList, (), (id, tasks, more, next))

struct CancelJobs {
    static constexpr std::string_view type_name = "cancel_jobs";
    std::int64_t id = 0;
    std::string jobs;
    std::string tasks;  // of one job; empty: all
};
BOOST_DESCRIBE_STRUCT(CancelJobs, (), (id, jobs, tasks))

struct RetryJob {
    static constexpr std::string_view type_name = "retry_job";
    std::int64_t id = 0;
    std::string job;
    bool cancelled = false;  // those too, not the failed tasks alone
};
BOOST_DESCRIBE_STRUCT(RetryJob, (), (id, job, cancelled))

struct HoldJobs {
    static constexpr std::string_view type_name = "hold_jobs";
    std::int64_t id = 0;
    std::string jobs;
    bool release = false;
};
BOOST_DESCRIBE_STRUCT(HoldJobs, (), (id, jobs, release))

struct SetPriority {
    static constexpr std::string_view type_name = "set_priority";
    std::int64_t id = 0;
    std::string job;
    std::int64_t priority = 0;
};
BOOST_DESCRIBE_STRUCT(SetPriority, (), (id, job, priority))

struct ExplainJob {
    static constexpr std::string_view type_name = "explain_job";
    std::int64_t id = 0;
    std::string job;
};
BOOST_DESCRIBE_STRUCT(ExplainJob, (), (id, job))

struct NodeFit {
    std::string node;
    bool fits = false;   // it could run a task of the job now
    bool could = false;  // it could if nothing else ran there
    std::string reason;  // why it does not
};
BOOST_DESCRIBE_STRUCT(NodeFit, (), (node, fits, could, reason))

struct Explanation {
    static constexpr std::string_view type_name = "explanation";
    std::int64_t id = 0;
    std::string job;
    std::string state;
    std::string reason;   // why it waits, in one sentence
    std::string nearest;  // the node that is nearest to running it, or empty
    std::vector<NodeFit> nodes;
};
BOOST_DESCRIBE_STRUCT(Explanation, (), (id, job, state, reason, nearest, nodes))

/// The jobs at once and with every change (four times a second at most, an end at once), until all
/// of them have ended; then `done`.
struct WatchJobs {
    static constexpr std::string_view type_name = "watch_jobs";
    std::int64_t id = 0;
    std::string jobs;
};
BOOST_DESCRIBE_STRUCT(WatchJobs, (), (id, jobs))

/// Events after the one with the id `since` (-1: only new ones), in pages; with `follow` for ever.
struct WatchEvents {
    static constexpr std::string_view type_name = "watch_events";
    std::int64_t id = 0;
    std::int64_t since = 0;
    bool follow = false;
};
BOOST_DESCRIBE_STRUCT(WatchEvents, (), (id, since, follow))

struct EventList {
    static constexpr std::string_view type_name = "event_list";
    std::int64_t id = 0;
    std::vector<EventView> events;
    bool more = false;
};
BOOST_DESCRIBE_STRUCT(EventList, (), (id, events, more))

/// What may change about a node. Members that are not set stay as they are.
struct ChangeNode {
    static constexpr std::string_view type_name = "change_node";
    std::int64_t id = 0;
    std::string node;  // name or id
    std::optional<bool> drain;
    double deadline_seconds = 0;  // of the drain: what still runs then is moved; 0: never
    bool clear_quarantine = false;
    std::map<std::string, std::string> labels;  // an empty value removes the label
    std::string power;                          // reboot | poweroff, once it is drained
};
BOOST_DESCRIBE_STRUCT(ChangeNode, (),
                      (id, node, drain, deadline_seconds, clear_quarantine, labels, power))

/// A consistent copy of the store and the files that it needs, which get_chunk gives for a while.
struct MakeBackup {
    static constexpr std::string_view type_name = "make_backup";
    std::int64_t id = 0;
};
BOOST_DESCRIBE_STRUCT(MakeBackup, (), (id))

struct BackupMade {
    static constexpr std::string_view type_name = "backup_made";
    std::int64_t id = 0;
    std::string blob;
    std::int64_t size = 0;
};
BOOST_DESCRIBE_STRUCT(BackupMade, (), (id, blob, size))

}  // namespace rpic
