#pragma once

#include <sys/resource.h>
#include <sys/types.h>

#include <array>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <memory>
#include <optional>
#include <string>

#include "common/clock.hpp"
#include "slave/runner/captured_output.hpp"
#include "slave/runner/messages.hpp"
#include "slave/runner/processes.hpp"
#include "slave/runner/spawn.hpp"
#include "slave/runner/task_groups.hpp"

namespace rpic {

/// One attempt that runs, with everything that the runner holds for it.
struct RunningAttempt {
    using Pipe = boost::asio::posix::stream_descriptor;

    explicit RunningAttempt(const std::filesystem::path& output_file) : output(output_file) {}

    LaunchSpec spec;  // without command and environment, which are wanted no more
    std::string marker;
    pid_t pid = 0;
    Instant started{};
    std::unique_ptr<Spawning> spawning;  // until its program is known to run
    CapturedOutput output;
    std::array<std::optional<Pipe>, 2> pipes;  // stdout and stderr, until their ends
    std::unique_ptr<TaskGroup> group;          // null: none can be had here
    std::int64_t memory_kills_before = 0;
    bool memory_by_kernel = false;

    // Of its first process, once that has ended.
    bool first_ended = false;
    int status = 0;
    rusage usage{};

    // Once the tree is to end, by an order or because the first process has.
    std::optional<Instant> kill_began;
    Duration grace{};
    std::int64_t max_tree_bytes = 0;  // resident, when it was too much
    bool gave_up = false;             // some of it cannot be killed
    std::string outcome;              // of an order; empty: what the first process says
    std::string reason;
};

/// All processes of an attempt that live, of a picture of the machine's processes. Orphans become
/// children of the runner (`runner`), and are known by their session or their marker.
std::vector<Process> tree_of(const RunningAttempt& attempt, const std::vector<Process>& processes,
                             pid_t runner);

/// TERM to all, and CONT for those that are stopped.
void terminate_tree(const RunningAttempt& attempt, pid_t runner);

/// KILL to all, as often as it takes to catch those that fork meanwhile (within bounds). Returns
/// how many were seen.
std::size_t kill_tree(const RunningAttempt& attempt, pid_t runner);

/// Whether any process of it lives; exact, and slow without a cgroup.
bool tree_lives(const RunningAttempt& attempt, pid_t runner);

/// Whether anything may be left of it once its first process has ended; cheap. With pipes that are
/// still open somebody holds them.
bool may_be_left(const RunningAttempt& attempt);

/// Lets the kernel end the attempt's processes before others when the machine's memory runs out.
/// For programs of their own alone: one that still shares the runner's memory shares its score.
void raise_memory_score(const RunningAttempt& attempt);

/// How it ended. The times are those of its first process.
AttemptReport report_of(const RunningAttempt& attempt, Instant now);

}  // namespace rpic
