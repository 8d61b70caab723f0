#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cerrno>
#include <csignal>

#include "common/limits.hpp"
#include "common/text.hpp"
#include "slave/runner/runner.hpp"
#include "slave/runner/runner_log.hpp"

// Signals, time, memory, and what has to be killed.
namespace rpic {

namespace asio = boost::asio;

namespace {

bool has_children() {
    siginfo_t information{};
    return ::waitid(P_ALL, 0, &information, WEXITED | WNOHANG | WNOWAIT) == 0;
}

Duration of_seconds(double seconds) {
    // Longer than anything lives; beyond it the number of nanoseconds would not fit.
    constexpr double most = 1e9;
    const std::chrono::duration<double> bounded(std::clamp(seconds, 0.0, most));
    return std::chrono::duration_cast<Duration>(bounded);
}

}  // namespace

asio::awaitable<void> Runner::await_signals() {
    sigset_t wanted;
    sigemptyset(&wanted);
    for (const int signal : {SIGCHLD, SIGTERM, SIGINT}) sigaddset(&wanted, signal);
    const int number = ::signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK);
    asio::posix::stream_descriptor descriptor(executor_, number);
    for (;;) {
        co_await descriptor.async_wait(asio::posix::stream_descriptor::wait_read,
                                       asio::use_awaitable);
        signalfd_siginfo signals[8];
        const auto size = ::read(number, signals, sizeof signals);
        const auto count = size > 0 ? static_cast<std::size_t>(size) / sizeof signals[0] : 0;
        for (std::size_t index = 0; index < count; ++index)
            if (signals[index].ssi_signo != SIGCHLD) stop();
        reap();
    }
}

void Runner::stop() {
    if (stopping_) return;
    note("was told to stop");
    stopping_ = true;
    held_.clear();
    std::vector<AttemptKey> keys;
    for (const auto& [key, attempt] : running_) keys.push_back(key);
    for (const auto& key : keys) {
        const auto known = running_.find(key);
        if (known == running_.end()) continue;
        begin_kill(*known->second, "runner", "the runner was told to stop", known->second->grace);
    }
    timer_.cancel();
}

asio::awaitable<void> Runner::watch() {
    for (;;) {
        const auto now = Clock::now();
        look(now);
        if (may_end(now)) co_return;
        boost::system::error_code error;
        auto token = asio::redirect_error(asio::use_awaitable, error);
        timer_.expires_after(next_look(now));
        co_await timer_.async_wait(token);
        const auto state = co_await asio::this_coro::cancellation_state;
        if (state.cancelled() != asio::cancellation_type::none)
            throw boost::system::system_error(asio::error::operation_aborted);
    }
}

/// Wakes the watch if it meant to sleep for longer. While many short tasks come and go it is awake
/// often enough.
void Runner::look_within(Duration time) {
    if (timer_.expiry() - std::chrono::steady_clock::now() > time) timer_.cancel();
}

bool Runner::may_end(Instant now) const {
    if (!running_.empty()) return false;
    if (stopping_) return true;
    if (!ended_.empty()) return false;
    const Duration idle = slave_ == nullptr ? limits::runner_idle : limits::runner_idle_attached;
    return now - idle_since_ >= idle;
}

Duration Runner::next_look(Instant now) const {
    Duration next = limits::runner_check;
    for (const auto& [key, attempt] : running_) {
        if (attempt->kill_began) return limits::kill_sweep;
        if (attempt->spec.time_limit_seconds <= 0) continue;
        const auto left = attempt->started + of_seconds(attempt->spec.time_limit_seconds) - now;
        next = std::clamp<Duration>(left, std::chrono::milliseconds(1), next);
    }
    if (sync_plan_.pending() || disk_sync_.busy() || spool_.untidy() || running_records_.untidy())
        return std::min<Duration>(next, limits::spool_sync);
    if (!running_.empty() || ungrouped_) return next;
    if (!ended_.empty()) return std::chrono::hours(1);
    const Duration idle = slave_ == nullptr ? limits::runner_idle : limits::runner_idle_attached;
    return std::max<Duration>(idle_since_ + idle - now, std::chrono::milliseconds(1));
}

void Runner::look(Instant now) {
    // After a pause of the whole process, what has ended in it is not yet known to have.
    reap();
    std::vector<AttemptKey> keys;
    for (const auto& [key, attempt] : running_) keys.push_back(key);
    for (const auto& key : keys) {
        const auto known = running_.find(key);
        if (known != running_.end()) look_at(*known->second, now);
    }
    if (now - memory_look_ >= limits::runner_check) {
        memory_look_ = now;
        watch_memory();
    }
    if (ungrouped_ && now - orphan_look_ >= limits::orphan_check) {
        orphan_look_ = now;
        kill_orphans();
    }
    spool_.tidy();
    running_records_.tidy();
    sync_ends(now);
}

void Runner::look_at(RunningAttempt& attempt, Instant now) {
    const auto& spec = attempt.spec;
    const bool unborn = attempt.spawning && attempt.spawning->failure();
    if (attempt.spawning && attempt.spawning->over() && !unborn) {
        attempt.spawning.reset();
        raise_memory_score(attempt);
    }
    if (attempt.kill_began) return sweep(attempt, now);
    if (spec.time_limit_seconds > 0 && now - attempt.started >= of_seconds(spec.time_limit_seconds))
        return begin_kill(attempt, "time_limit",
                          "it ran longer than " + format_duration(spec.time_limit_seconds),
                          attempt.grace);
    if (spec.stop_after_seconds > 0 &&
        lease_.over(now, attempt.started, of_seconds(spec.stop_after_seconds)))
        begin_kill(
            attempt, "lease",
            "the master was away for longer than " + format_duration(spec.stop_after_seconds),
            attempt.grace);
}

/// Where the kernel does not limit memory, the trees are weighed. A tree that is too heavy grows
/// further while it is asked to end: it is killed at once.
void Runner::watch_memory() {
    const auto weighed = [](const auto& each) {
        return each.second->spec.memory_bytes > 0 && !each.second->memory_by_kernel &&
               !each.second->kill_began;
    };
    if (std::none_of(running_.begin(), running_.end(), weighed)) return;
    const auto processes = list_processes();
    for (const auto& each : running_) {
        if (!weighed(each)) continue;
        auto& attempt = *each.second;
        std::int64_t used = 0;
        for (const auto& process : tree_of(attempt, processes, ::getpid()))
            used += process.rss_bytes;
        if (used <= attempt.spec.memory_bytes) continue;
        begin_kill(attempt, "memory",
                   "it used " + format_size(used) + ", more than the " +
                       format_size(attempt.spec.memory_bytes) + " that it asked for",
                   Duration::zero());
        attempt.max_tree_bytes = used;
    }
}

void Runner::begin_kill(RunningAttempt& attempt, std::string outcome, std::string reason,
                        Duration grace) {
    if (attempt.outcome.empty() && !attempt.first_ended) {
        attempt.outcome = std::move(outcome);
        attempt.reason = std::move(reason);
    }
    const auto now = Clock::now();
    if (!attempt.kill_began || now + grace < attempt.kill_began.value() + attempt.grace) {
        if (!attempt.kill_began) terminate_tree(attempt, ::getpid());
        attempt.kill_began = now;
        attempt.grace = grace;
    }
    timer_.cancel();
}

/// One turn of a kill that has begun.
void Runner::sweep(RunningAttempt& attempt, Instant now) {
    const auto age = now - *attempt.kill_began;
    if (attempt.first_ended && !tree_lives(attempt, ::getpid())) return end(attempt);
    if (age < attempt.grace) return;
    kill_tree(attempt, ::getpid());
    if (age < attempt.grace + limits::kill_time) return;
    note("gave up killing what is left of a task (first process " + std::to_string(attempt.pid) +
         "): the kernel does not let it go");
    attempt.reason += attempt.reason.empty() ? "" : "; ";
    attempt.reason += "some of its processes could not be killed";
    attempt.gave_up = true;
    end(attempt);
}

/// Without cgroups, processes that have left their task's tree and session are found by their
/// marker. Those without one end when no task is left that they could belong to.
void Runner::kill_orphans() {
    if (!has_children()) return;
    const pid_t self = ::getpid();
    std::set<std::string> markers;
    for (const auto& [key, attempt] : running_) markers.insert(attempt->marker);
    const auto orphans = trees_of(list_processes(), [&](const Process& process) {
        if (process.parent != self || by_pid_.contains(process.pid)) return false;
        const bool of_session =
            std::any_of(running_.begin(), running_.end(),
                        [&](const auto& each) { return each.second->pid == process.session; });
        if (of_session) return false;
        const auto marker = marker_of(process.pid);
        return marker.empty() ? running_.empty() : !markers.contains(marker);
    });
    for (const auto& each : orphans) ::kill(each.pid, SIGKILL);
}

}  // namespace rpic
