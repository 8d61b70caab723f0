#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "common/limits.hpp"
#include "slave/runner/leftovers.hpp"
#include "slave/runner/past.hpp"
#include "slave/runner/runner.hpp"
#include "slave/runner/runner_log.hpp"
#include "slave/runner/spawn.hpp"

// Attempts from their launch to their end.
namespace rpic {

namespace {

constexpr const char* standard_path =
    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

bool has_zero(const LaunchSpec& spec) {
    const auto zero = [](const std::string& text) { return text.find('\0') != std::string::npos; };
    return std::any_of(spec.command.begin(), spec.command.end(), zero) ||
           std::any_of(spec.env.begin(), spec.env.end(),
                       [&](const auto& entry) { return zero(entry.first) || zero(entry.second); });
}

/// The task's stdin: a regular file, or nothing. -1 and errno on failure.
int open_input(const std::string& file) {
    if (file.empty()) return ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    // A pipe or device in its place would stop the runner here.
    const int input = ::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct stat status {};
    if (input < 0) return -1;
    if (::fstat(input, &status) == 0 && S_ISREG(status.st_mode)) return input;
    ::close(input);
    return errno = EINVAL, -1;
}

Duration seconds_of(double seconds, Duration most) {
    if (!(seconds > 0)) return Duration::zero();
    if (seconds >= to_seconds(most)) return most;
    return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds));
}

/// A place as seen from the folder of the attempt, if it is in there.
std::string inside(const std::string& folder, const std::string& cwd) {
    if (cwd.empty() || cwd == folder) return ".";
    return cwd.starts_with(folder + "/") ? cwd.substr(folder.size() + 1) : cwd;
}

}  // namespace

void Runner::launch(const LaunchSpec& spec) {
    auto attempt = std::make_unique<RunningAttempt>(output_path(spec.key));
    attempt->spec = spec;
    attempt->spec.command.clear();
    attempt->spec.env.clear();
    attempt->marker = id_ + "." + attempt->output.path().filename().string();
    attempt->started = Clock::now();
    attempt->grace = seconds_of(spec.grace_seconds, limits::grace_max);
    if (running_.size() + ended_.size() >= limits::runner_attempts)
        return fail(*attempt, "node", "more attempts wait here for the master than are kept");
    if (spec.command.empty() || has_zero(spec))
        return fail(*attempt, "cannot_execute", "the command is empty or has a zero byte in it");
    RunningRecord record;
    record.boot_id = boot_;
    record.started_at_ns = attempt->started.time_since_epoch().count();
    record.folder = spec.folder;
    record.context = spec.context;
    // Before it starts: a runner that is killed now leaves nothing that its successor does not
    // know.
    if (!running_records_.add(spec.key, encode(record)))
        return fail(*attempt, "node",
                    std::string("the node's disk takes nothing: ") + std::strerror(errno));
    if (!start(*attempt, spec)) return let_go(spec.key);
    auto& running = *attempt;
    by_pid_[running.pid] = &running;
    running_.emplace(spec.key, std::move(attempt));
    for (std::size_t which = 0; which < 2; ++which) await_output(running, which);
    const auto limit = seconds_of(spec.time_limit_seconds, limits::runner_check);
    look_within(limit > Duration::zero() ? limit : Duration(limits::runner_check));
    if (slave_ == nullptr) return;
    Launched message;
    message.key = spec.key;
    message.pid = running.pid;
    slave_->send(message);
}

bool Runner::open_streams(RunningAttempt& attempt, const LaunchSpec& spec, int (&streams)[3]) {
    streams[0] = open_input(spec.stdin_file);
    if (streams[0] < 0) {
        fail(attempt, "node", "cannot open " + spec.stdin_file + ": " + std::strerror(errno));
        return false;
    }
    for (std::size_t which = 0; which < 2; ++which) {
        int ends[2];
        if (::pipe2(ends, O_CLOEXEC) != 0) {
            fail(attempt, "node", std::string("no pipe for its output: ") + std::strerror(errno));
            return false;
        }
        streams[which + 1] = ends[1];
        attempt.pipes[which].emplace(executor_, ends[0]);  // does not block from its first wait on
    }
    return true;
}

/// False if it could not be started; then that has been told.
bool Runner::start(RunningAttempt& attempt, const LaunchSpec& spec) {
    int streams[3] = {-1, -1, -1};
    const bool open = open_streams(attempt, spec, streams);
    if (open) {
        SpawnRequest request;
        request.command = spec.command;
        request.env.push_back(std::string(marker_variable) + "=" + attempt.marker);
        for (const auto& [name, value] : spec.env) request.env.push_back(name + "=" + value);
        const auto path = spec.env.find("PATH");
        request.path = path == spec.env.end() ? standard_path : path->second;
        request.folder = spec.folder;
        request.cwd = inside(spec.folder, spec.cwd);
        request.input = streams[0];
        request.output = streams[1];
        request.error = streams[2];
        request.uid = spec.uid;
        request.gid = spec.gid;
        request.groups = spec.groups;
        request.open_files = options_.open_files;
        if (spec.uid > 0) request.processes = limits::task_processes;
        attempt.pid = give_birth(attempt, std::move(request));
    }
    const int error = errno;
    for (const int each : streams)
        if (each >= 0) ::close(each);
    if (attempt.pid > 0) {
        limit_memory(attempt);
        return true;
    }
    if (open) fail_spawn(attempt, {SpawnStep::fork, error, {}});
    return false;
}

/// In a cgroup if there are any. -1 and errno if the kernel makes no process.
pid_t Runner::give_birth(RunningAttempt& attempt, SpawnRequest request) {
    const bool limited = attempt.spec.memory_bytes > 0;
    request.wait = limited;  // see limit_memory()
    attempt.group = groups_.take(limited);
    if (attempt.group) request.group = attempt.group->folder();
    attempt.spawning = std::make_unique<Spawning>(std::move(request));
    pid_t pid = attempt.spawning->begin();
    if (pid < 0 && attempt.group) {
        const std::string why = std::strerror(errno);
        groups_.give_back(std::move(attempt.group));
        request = attempt.spawning->request();
        request.group = -1;
        attempt.spawning = std::make_unique<Spawning>(std::move(request));
        pid = attempt.spawning->begin();
        // If nothing starts without one either, it is not the cgroup's fault.
        if (pid > 0) {
            note("no more cgroups: the kernel starts nothing in them: " + why);
            groups_.disable();
        }
    }
    ungrouped_ = ungrouped_ || !attempt.group;
    return pid;
}

/// Not before the task is a program of its own: until then it shares the runner's memory, and the
/// kernel, when it kills for want of memory, kills all who share what it frees.
void Runner::limit_memory(RunningAttempt& attempt) {
    if (!attempt.group || attempt.spec.memory_bytes <= 0) return;
    attempt.memory_kills_before = attempt.group->memory_kills();
    attempt.memory_by_kernel = attempt.group->limit_memory(attempt.spec.memory_bytes);
}

/// An attempt whose program was never executed has ended.
void Runner::fail_spawn(RunningAttempt& attempt, const SpawnFailure& failure) {
    const auto& spec = attempt.spec;
    const std::string why = std::strerror(failure.error);
    const auto cwd = spec.cwd.empty() ? spec.folder : spec.cwd;
    const auto command = attempt.spawning->request().command.front();
    const bool has_slash = command.find('/') != std::string::npos;
    switch (failure.step) {
        case SpawnStep::fork:
            return fail(attempt, "node", "the node cannot start another process: " + why);
        case SpawnStep::user:
            return fail(attempt, "node",
                        "cannot become the user " + std::to_string(spec.uid) + ": " + why);
        case SpawnStep::folder:
            return fail(attempt, cwd == spec.folder ? "node" : "cannot_execute",
                        "cannot enter the folder " + cwd + ": " + why);
        case SpawnStep::execute:
            break;
    }
    if (failure.file.empty())
        return fail(attempt, "not_found",
                    command + (has_slash ? " is not there" : " is not in PATH on this node"));
    const bool relative = !failure.file.starts_with('/');
    const auto file = relative ? cwd + "/" + failure.file : failure.file;
    fail(attempt, "cannot_execute", why_not_executable(file, failure.error));
}

/// An attempt that never ran has ended.
void Runner::fail(RunningAttempt& attempt, std::string outcome, std::string reason) {
    groups_.give_back(std::move(attempt.group));
    RunnerAttempt ended;
    ended.key = ended.report.key = attempt.spec.key;
    ended.ended = true;
    ended.folder = attempt.spec.folder;
    ended.context = attempt.spec.context;
    if (outcome == "not_found") ended.report.exit_code = 127;
    if (outcome == "cannot_execute") ended.report.exit_code = 126;
    ended.report.outcome = std::move(outcome);
    ended.report.reason = std::move(reason);
    keep(std::move(ended), {});
}

void Runner::await_output(RunningAttempt& attempt, std::size_t which) {
    const auto key = attempt.spec.key;
    attempt.pipes[which]->async_wait(
        RunningAttempt::Pipe::wait_read,
        [this, key, which](const boost::system::error_code& error) {
            const auto known = running_.find(key);
            if (error || known == running_.end() || !known->second->pipes[which]) return;
            auto& running = *known->second;
            const auto before = running.output.size();
            read_pipe(running, which);
            if (running.pipes[which]) await_output(running, which);
            if (running.output.size() > before) answer_readers(key);
            look_for_end(running);
        });
}

/// Takes what is there, at most as much as a pipe usually holds.
void Runner::read_pipe(RunningAttempt& attempt, std::size_t which) {
    static std::array<char, limits::read_bytes> buffer;
    const int pipe = attempt.pipes[which]->native_handle();
    auto count = ::read(pipe, buffer.data(), buffer.size());
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (count <= 0) return attempt.pipes[which].reset();
    const auto stream = which == 0 ? OutputStream::out : OutputStream::err;
    attempt.output.append(stream, {buffer.data(), static_cast<std::size_t>(count)});
}

/// Collects every child that has ended: first processes of tasks, and orphans of theirs.
void Runner::reap() {
    std::vector<AttemptKey> ended;
    for (;;) {
        int status = 0;
        rusage usage{};
        const pid_t pid = ::wait4(-1, &status, WNOHANG, &usage);
        if (pid <= 0) break;
        const auto known = by_pid_.find(pid);
        if (known == by_pid_.end()) continue;
        auto& attempt = *known->second;
        by_pid_.erase(known);
        attempt.first_ended = true;
        attempt.status = status;
        attempt.usage = usage;
        ended.push_back(attempt.spec.key);
    }
    for (const auto& key : ended) {
        const auto known = running_.find(key);
        if (known == running_.end()) continue;
        auto& attempt = *known->second;
        for (std::size_t which = 0; which < 2; ++which)
            for (int round = 0; round < 2 && attempt.pipes[which]; ++round)
                read_pipe(attempt, which);
        look_for_end(attempt);
    }
}

/// Once the first process has ended: ends the attempt, or what it left behind first.
void Runner::look_for_end(RunningAttempt& attempt) {
    if (!attempt.first_ended) return;
    // What was ordered is the better answer for one that was to be ended.
    const auto failure = attempt.spawning ? attempt.spawning->failure() : std::nullopt;
    if (failure && !attempt.kill_began) return end_unborn(attempt.spec.key, *failure);
    if (!may_be_left(attempt)) return end(attempt);
    if (!attempt.kill_began) begin_kill(attempt, {}, {}, attempt.grace);
}

/// The tree is gone.
void Runner::end(RunningAttempt& attempt) {
    const auto key = attempt.spec.key;
    // A pipe's capacity is bounded, so this is too; whoever got hold of its other end may fill it
    // again and again.
    for (std::size_t which = 0; which < 2; ++which)
        for (int round = 0; round < 32 && attempt.pipes[which]; ++round) read_pipe(attempt, which);
    attempt.output.finish();
    RunnerAttempt ended;
    ended.key = key;
    ended.ended = true;
    ended.pid = attempt.pid;
    ended.folder = attempt.spec.folder;
    ended.context = attempt.spec.context;
    ended.brings_files = attempt.spec.brings_files;
    ended.report = report_of(attempt, Clock::now());
    if (attempt.output.in_file()) ended.output_file = attempt.output.path().string();
    const auto output = attempt.output.in_memory();
    if (attempt.gave_up)
        attempt.group.reset();
    else
        groups_.give_back(std::move(attempt.group));
    // Once it has been collected its number may be that of another attempt.
    if (!attempt.first_ended) by_pid_.erase(attempt.pid);
    running_.erase(key);
    keep(std::move(ended), output);
    let_go(key);
}

/// The first process ended before it executed anything.
void Runner::end_unborn(const AttemptKey& key, const SpawnFailure& failure) {
    const auto attempt = std::move(running_.at(key));
    running_.erase(key);
    fail_spawn(*attempt, failure);
    let_go(key);
}

/// Of an attempt that runs no more.
void Runner::let_go(const AttemptKey& key) {
    running_records_.remove(key);
    if (const auto next = held_.take_after(key)) launch(*next);
    // Unless that has taken it along.
    running_records_.write_removals();
}

/// Writes down how an attempt ended, and then tells it.
void Runner::keep(RunnerAttempt attempt, std::string_view output) {
    const auto key = attempt.key;
    EndedAttempt ended;
    ended.attempt = std::move(attempt);
    ended.ended_at = Clock::now();
    ended.inline_bytes = output.size();
    EndedRecord record;
    record.boot_id = boot_;
    record.ended_at_ns = ended.ended_at.time_since_epoch().count();
    record.attempt = ended.attempt;
    const auto text = encode(record, output);
    ended.record_head = text.size() - output.size();
    ended.in_spool = spool_.add(key, text);
    if (!ended.in_spool) {
        note(std::string("cannot write down the end of a task, which a power cut would lose: ") +
             std::strerror(errno));
        ended.output = output;
    } else {
        sync_plan_.add(key, ended.ended_at, has_files(ended.attempt));
    }
    const auto& kept = ended_[key] = std::move(ended);
    tell(kept, output);
    answer_readers(key);
    look_within(limits::spool_sync);
}

void Runner::tell(const EndedAttempt& ended, std::string_view output) {
    if (slave_ == nullptr) return;
    Ended message;
    message.attempt = describe(ended);
    slave_->send(message, output);
}

}  // namespace rpic
