#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "common/boxed.hpp"
#include "common/job_messages.hpp"
#include "master/core/job_records.hpp"
#include "master/core/keyring.hpp"
#include "master/core/node.hpp"

/// What goes into the store and what comes out of it.
namespace rpic {

// What can be recorded. The operations of one batch become durable together or not at all.

struct PutKey {
    KeyRecord record;
};
struct DropKey {
    std::string identity;
};
struct PutNode {
    Boxed<NodeRecord> record;
};
struct DropNode {
    std::string id;
};
/// A secret for the master's own user, written after the batch is committed.
struct PutSecretFile {
    std::filesystem::path path;
    std::string text;
};
/// A new job; `spec` is never null.
struct PutJob {
    JobStatus status;
    std::shared_ptr<const JobSpec> spec;
};
/// What changed of a job that is there. The age of an ended job counts from the first status that
/// says so.
struct PutJobStatus {
    JobStatus status;
};
/// Nothing is left of these jobs: they are gone at once, their results and outputs bit by bit while
/// the store has nothing else to do.
struct DropJobs {
    std::vector<JobId> ids;
};
struct PutTask {
    TaskRecord record;
};
struct DropTask {
    JobId job = 0;
    Position position = 0;
};
/// How a task ended, with what it printed (records of output.hpp; empty if it printed nothing or
/// its output is a blob). The output is on disk before the result is. If it cannot be written, the
/// result is recorded all the same, and its reason says that the output was lost.
struct PutResult {
    TaskResult result;
    std::string output;
};
/// A number that outlives the master.
struct SetMeta {
    std::string name;
    std::int64_t value = 0;
};
inline constexpr const char* meta_epoch = "epoch";
inline constexpr const char* meta_next_job = "next_job";

using StoreOperation = std::variant<PutKey, DropKey, PutNode, DropNode, PutSecretFile, PutJob,
                                    PutJobStatus, DropJobs, PutTask, DropTask, PutResult, SetMeta>;
using StoreBatch = std::vector<StoreOperation>;

// What comes out.

struct StoredJob {
    JobStatus status;
    std::shared_ptr<const JobSpec> spec;
    /// Of a job that has not ended: what each task is after its newest result. Shorter than the job
    /// if the last ones have none, so empty if nothing has ended yet.
    std::vector<TaskState> states;
    std::int64_t highest_attempt = 0;  // of these results
};

struct StoreContents {
    std::string cluster;     // id of this cluster, made with the store
    std::int64_t epoch = 1;  // one more after each restored backup
    JobId next_job = 1;      // lowest id that was never used
    std::vector<KeyRecord> keys;
    std::vector<NodeRecord> nodes;
    std::vector<StoredJob> jobs;    // by id
    std::vector<TaskRecord> tasks;  // by job and position
};

/// A part of what a task printed.
struct StoredOutput {
    bool known = false;        // false: the task has no result
    std::int64_t attempt = 0;  // whose output this is
    std::string state;         // how it ended ...
    std::int64_t round = 0;    // ... and in which round of the job
    std::int64_t size = 0;     // of all of it
    std::string bytes;         // from the offset that was asked for
    std::string blob;          // not empty: the output is this blob, and `bytes` is empty
};

/// A backup that was made: the file is there.
struct MadeBackup {
    std::int64_t size = 0;
    std::string sha256;
};

/// One item of a list: a blob of items, each ended by a NUL.
struct ItemRequest {
    std::string blob;
    Position position = 0;
};
struct Item {
    std::string text;
    std::string failure;  // not empty: there is no such item, and why
};

struct ItemCount {
    std::int64_t count = 0;
    std::string failure;  // not empty: this is no list that a job can have, and why
};

/// Where the file of a blob is. Called on the store's thread.
using BlobPath = std::function<std::filesystem::path(const std::string& blob)>;

/// What the store did since it was opened.
struct StoreStatistics {
    std::uint64_t commits = 0;
    std::uint64_t rows = 0;          // written or deleted
    std::uint64_t bytes = 0;         // of rows and outputs, as handed to the disk
    std::uint64_t outputs_lost = 0;  // could not be written
    double cpu_seconds = 0;          // of its thread
    std::int64_t free_bytes = 0;     // for the master's user, where the store is
};

}  // namespace rpic
