#pragma once

#include <variant>

#include "common/job_messages.hpp"

/// What a slave and the runner beside it say to each other, over a unix socket in the slave's
/// folder, in the same frames as everywhere. The runner serves one slave at a time: a new one
/// replaces the old one.
namespace rpic {

inline constexpr int runner_protocol_version = 1;

/// First message, from the slave.
struct Attach {
    static constexpr std::string_view type_name = "attach";
    std::string version;
    int protocol = 0;
};
BOOST_DESCRIBE_STRUCT(Attach, (), (version, protocol))

/// Everything that is needed to run one attempt.
struct LaunchSpec {
    AttemptKey key;
    std::vector<std::string> command;
    std::map<std::string, std::string> env;  // all of it: nothing is inherited
    std::string folder;      // the attempt's private folder; made by the slave, owned by the user
    std::string cwd;         // where it starts; inside `folder` or, if the job says so, elsewhere
    std::string stdin_file;  // empty: /dev/null
    std::int64_t uid = -1;   // -1: the runner's own
    std::int64_t gid = -1;
    std::vector<std::int64_t> groups;
    std::int64_t memory_bytes = 0;  // 0: not limited
    double time_limit_seconds = 0;  // 0: none
    double grace_seconds = 0;       // between TERM and KILL
    double stop_after_seconds = 0;  // 0: no lease
    bool brings_files = false;      // what it leaves in `folder` is a part of its result
    std::string context;            // kept for the slave, which may be another one at the end
};
BOOST_DESCRIBE_STRUCT(LaunchSpec, (),
                      (key, command, env, folder, cwd, stdin_file, uid, gid, groups, memory_bytes,
                       time_limit_seconds, grace_seconds, stop_after_seconds, brings_files,
                       context))

/// Run it at once, or when the attempt `after`, which runs now, has ended; it is held until then
/// and forgotten if the slave goes.
struct Launch {
    static constexpr std::string_view type_name = "launch";
    LaunchSpec spec;
    std::optional<AttemptKey> after;
};
BOOST_DESCRIBE_STRUCT(Launch, (), (spec, after))

/// Run these, which are held, at once.
struct StartHeld {
    static constexpr std::string_view type_name = "start_held";
    std::vector<AttemptKey> attempts;
};
BOOST_DESCRIBE_STRUCT(StartHeld, (), (attempts))

/// What the runner knows of an attempt. `report` means something once `ended` is set.
struct RunnerAttempt {
    AttemptKey key;
    bool ended = false;
    std::int64_t pid = 0;
    double running_seconds = 0;
    std::string folder;
    std::string context;
    AttemptReport report;
    std::string output_file;    // of outputs that are not inline
    bool brings_files = false;  // as in its LaunchSpec, if it ran
};
BOOST_DESCRIBE_STRUCT(RunnerAttempt, (),
                      (key, ended, pid, running_seconds, folder, context, report, output_file,
                       brings_files))

/// The answer to `attach`: all attempts, page by page. Ended ones come without their output; it is
/// asked for with read_attempt.
struct Attached {
    static constexpr std::string_view type_name = "attached";
    std::string version;
    int protocol = 0;
    std::int64_t pid = 0;
    std::vector<RunnerAttempt> attempts;
    bool more = false;
};
BOOST_DESCRIBE_STRUCT(Attached, (), (version, protocol, pid, attempts, more))

/// It runs.
struct Launched {
    static constexpr std::string_view type_name = "launched";
    AttemptKey key;
    std::int64_t pid = 0;
};
BOOST_DESCRIBE_STRUCT(Launched, (), (key, pid))

/// It has ended (or could not start): the runner has written that down. The raw tail is its whole
/// output if that is at most limits::inline_output_bytes; else `attempt.output_file` holds it.
struct Ended {
    static constexpr std::string_view type_name = "ended";
    RunnerAttempt attempt;
};
BOOST_DESCRIBE_STRUCT(Ended, (), (attempt))

/// End it: TERM, then KILL after the grace of its spec. `outcome` as in AttemptReport.
struct KillAttempts {
    static constexpr std::string_view type_name = "kill_attempts";
    std::vector<AttemptKey> attempts;
    std::string outcome;
    std::string reason;
};
BOOST_DESCRIBE_STRUCT(KillAttempts, (), (attempts, outcome, reason))

/// The master has the result: the runner forgets the attempt and its output. The folder is the
/// slave's to remove.
struct ForgetAttempts {
    static constexpr std::string_view type_name = "forget_attempts";
    std::vector<AttemptKey> attempts;
};
BOOST_DESCRIBE_STRUCT(ForgetAttempts, (), (attempts))

/// The master acknowledged a heartbeat that was sent at this time of CLOCK_BOOTTIME: leases count
/// from it. A time in the future, or before the last one, is ignored.
struct RenewLease {
    static constexpr std::string_view type_name = "renew_lease";
    std::int64_t sent_at_ns = 0;
};
BOOST_DESCRIBE_STRUCT(RenewLease, (), (sent_at_ns))

/// Output from `offset` on; with `wait` once there is some or the attempt has ended.
struct ReadAttempt {
    static constexpr std::string_view type_name = "read_attempt";
    std::int64_t id = 0;
    AttemptKey key;
    std::int64_t offset = 0;
    bool wait = false;
};
BOOST_DESCRIBE_STRUCT(ReadAttempt, (), (id, key, offset, wait))

/// The raw tail holds at most limits::chunk_bytes of it.
struct AttemptOutput {
    static constexpr std::string_view type_name = "attempt_output";
    std::int64_t id = 0;
    AttemptKey key;
    bool known = true;  // false: there is no such attempt
    std::int64_t offset = 0;
    bool complete = false;  // it has ended, and this is the last of it
};
BOOST_DESCRIBE_STRUCT(AttemptOutput, (), (id, key, known, offset, complete))

using ToRunner =
    std::variant<Attach, Launch, StartHeld, KillAttempts, ForgetAttempts, RenewLease, ReadAttempt>;
using FromRunner = std::variant<Attached, Launched, Ended, AttemptOutput>;

}  // namespace rpic
