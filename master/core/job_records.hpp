#pragma once

#include <boost/describe/class.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// What of a job outlives the master.
///
/// A task is known by its position, 0 to size - 1, and shown by its index: first + position * step.
/// A task without any record is queued, or cancelled if its job is. One with a result has ended
/// with its newest result, unless a retry took it up again. A retry may be about a million tasks
/// and is one record all the same: it begins a new round of the job, and what its tasks came to in
/// earlier rounds stands no more.
namespace rpic {

using JobId = std::int64_t;     // 1, 2, 3 ...; never used twice
using Position = std::int64_t;  // of a task in its job

enum class TaskState : unsigned char { queued, running, done, failed, cancelled };
inline constexpr std::size_t task_states = 5;

std::string_view state_name(TaskState state);
std::optional<TaskState> task_state(std::string_view name);

/// The part of a job that changes. The rest is its JobSpec.
struct JobStatus {
    JobId id = 0;
    std::string submitter;  // name of the key
    std::int64_t priority = 0;
    std::int64_t size = 1;
    std::int64_t first = 0;  // index of the first task
    std::int64_t step = 1;
    std::int64_t task_limit = 0;  // so many at once; 0: no limit
    bool held = false;
    bool cancelled = false;       // tasks without a result are cancelled
    bool rest_cancelled = false;  // likewise, though the job goes on: what had failed is retried
    std::int64_t rest_round = 0;  // likewise those whose newest result is of an earlier round
    bool ended = false;
    std::string reason;             // why it was cancelled or failed as a whole
    std::int64_t submitted_at = 0;  // seconds since 1970, for display
    std::int64_t finished_at = 0;
    std::int64_t done = 0;  // of an ended job
    std::int64_t failed = 0;
    std::int64_t last_attempt = 0;     // the numbers of tasks that never ran begin above this one
    std::int64_t highest_attempt = 0;  // ever given to one of its tasks
    std::int64_t round = 0;            // retries so far: failures of earlier rounds are taken up
    std::int64_t cancelled_round = 0;  // what was cancelled before this round is taken up, too
    std::int64_t epoch = 1;  // of the store: nothing of an earlier one runs under `stop` any more

    bool operator==(const JobStatus&) const = default;
};
BOOST_DESCRIBE_STRUCT(JobStatus, (),
                      (id, submitter, priority, size, first, step, task_limit, held, cancelled,
                       rest_cancelled, rest_round, ended, reason, submitted_at, finished_at, done,
                       failed, last_attempt, highest_attempt, round, cancelled_round, epoch))

/// An attempt that may be running.
struct LiveAttempt {
    std::int64_t number = 0;
    std::string node;             // id
    std::int64_t started_at = 0;  // seconds since 1970, for display

    bool operator==(const LiveAttempt&) const = default;
};
BOOST_DESCRIBE_STRUCT(LiveAttempt, (), (number, node, started_at))

/// A task that has begun and has not ended.
struct TaskRecord {
    JobId job = 0;
    Position position = 0;
    std::int64_t last_attempt = 0;  // highest number given
    std::int64_t failures = 0;      // count against --retries
    std::int64_t deaths = 0;        // of nodes and runners
    bool cancelled = false;         // it is to end, but attempts of it still do
    std::string avoid;              // id of the node where it failed last
    std::vector<LiveAttempt> live;  // limits::live_attempts at most

    bool operator==(const TaskRecord&) const = default;
};
BOOST_DESCRIBE_STRUCT(TaskRecord, (),
                      (job, position, last_attempt, failures, deaths, cancelled, avoid, live))

/// How a task ended. Where its output lies is the store's business.
struct TaskResult {
    JobId job = 0;
    Position position = 0;
    std::string state;  // done | failed | cancelled
    std::string node;   // name
    std::int64_t attempt = 0;
    std::int64_t round = 0;  // of the job, when it ended
    std::optional<std::int64_t> exit_code;
    std::optional<std::int64_t> signal;
    std::string reason;
    std::int64_t started_at_ms = 0;  // since 1970, for display; 0: it never ran
    double duration_seconds = 0;
    double cpu_seconds = 0;
    std::int64_t max_rss_bytes = 0;
    std::int64_t output_bytes = 0;
    std::string output_blob;  // an output that came as a blob
    std::string files;        // manifest, a blob
};

/// Whether a result is still that of its task, which no retry took up again.
bool stands(const JobStatus& status, TaskState state, std::int64_t round);
/// What a task of a job that goes on is after its newest result, of that round ...
TaskState state_after_result(const JobStatus& status, TaskState state, std::int64_t round);
/// ... and without any.
TaskState state_without_result(const JobStatus& status);

}  // namespace rpic
