#include "slave/runner/attempt.hpp"

#include <sys/wait.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <fstream>
#include <unordered_set>

#include "common/limits.hpp"
#include "common/text.hpp"

namespace rpic {

namespace {

/// Rounds in which processes appear faster than they can be stopped. Stopped ones do not fork, so
/// that a handful is enough; what is left then is met again by the next sweep.
constexpr int freeze_rounds = 50;

std::vector<pid_t> pids_of(const RunningAttempt& attempt, pid_t runner) {
    if (attempt.group) return attempt.group->processes();
    std::vector<pid_t> pids;
    for (const auto& each : tree_of(attempt, list_processes(), runner)) pids.push_back(each.pid);
    return pids;
}

double seconds(const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
}

}  // namespace

std::vector<Process> tree_of(const RunningAttempt& attempt, const std::vector<Process>& processes,
                             pid_t runner) {
    // The kernel gives a number anew once nobody is left in the session of that number: then it is
    // the session of a stranger.
    const bool given_anew =
        attempt.first_ended &&
        std::any_of(processes.begin(), processes.end(),
                    [&](const Process& process) { return process.pid == attempt.pid; });
    return trees_of(processes, [&](const Process& process) {
        if (process.pid == attempt.pid) return !attempt.first_ended;
        if (process.session == attempt.pid) return !given_anew;
        return process.parent == runner && marker_of(process.pid) == attempt.marker;
    });
}

void terminate_tree(const RunningAttempt& attempt, pid_t runner) {
    const auto pids = pids_of(attempt, runner);
    for (const int signal : {SIGTERM, SIGCONT})
        for (const auto pid : pids) ::kill(pid, signal);
}

std::size_t kill_tree(const RunningAttempt& attempt, pid_t runner) {
    if (attempt.group) {
        const auto seen = attempt.group->processes().size();
        attempt.group->kill();
        return seen;
    }
    std::unordered_set<pid_t> stopped;
    for (int round = 0; round < freeze_rounds; ++round) {
        const auto before = stopped.size();
        for (const auto pid : pids_of(attempt, runner))
            if (stopped.insert(pid).second) ::kill(pid, SIGSTOP);
        if (stopped.size() == before) break;
    }
    for (const auto pid : stopped) ::kill(pid, SIGKILL);
    return stopped.size();
}

bool tree_lives(const RunningAttempt& attempt, pid_t runner) {
    if (attempt.group) return attempt.group->populated();
    return !tree_of(attempt, list_processes(), runner).empty();
}

bool may_be_left(const RunningAttempt& attempt) {
    if (attempt.group) return attempt.group->populated();
    if (attempt.pipes[0] || attempt.pipes[1]) return true;
    // The session's first process group; EPERM says that it is there and has changed its user.
    return ::kill(-attempt.pid, 0) == 0 || errno != ESRCH;
}

void raise_memory_score(const RunningAttempt& attempt) {
    if (attempt.first_ended) return;
    const auto pids = attempt.group ? attempt.group->processes() : std::vector<int>{attempt.pid};
    // Where it may not be written, the kernel treats them as any process.
    for (const auto pid : pids)
        std::ofstream("/proc/" + std::to_string(pid) + "/oom_score_adj") << limits::task_oom_score;
}

AttemptReport report_of(const RunningAttempt& attempt, Instant now) {
    AttemptReport report;
    report.key = attempt.spec.key;
    report.outcome = attempt.outcome;
    report.reason = attempt.reason;
    if (attempt.first_ended && WIFEXITED(attempt.status))
        report.exit_code = WEXITSTATUS(attempt.status);
    if (attempt.first_ended && WIFSIGNALED(attempt.status))
        report.signal = WTERMSIG(attempt.status);
    const bool by_kernel = attempt.memory_by_kernel && report.outcome.empty() &&
                           attempt.group->memory_kills() > attempt.memory_kills_before;
    if (by_kernel && report.exit_code != 0) {
        report.outcome = "memory";
        report.reason = "it used more than the " + format_size(attempt.spec.memory_bytes) +
                        " that it asked for";
    }
    if (report.outcome.empty()) report.outcome = report.signal ? "signalled" : "exited";
    report.duration_seconds = to_seconds(now - attempt.started);
    report.cpu_seconds = seconds(attempt.usage.ru_utime) + seconds(attempt.usage.ru_stime);
    report.max_rss_bytes =
        std::max(static_cast<std::int64_t>(attempt.usage.ru_maxrss) * 1024, attempt.max_tree_bytes);
    report.output_bytes = attempt.output.size();
    return report;
}

}  // namespace rpic
