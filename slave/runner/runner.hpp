#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <filesystem>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "slave/runner/attempt.hpp"
#include "slave/runner/disk_sync.hpp"
#include "slave/runner/held_launches.hpp"
#include "slave/runner/keyed_records.hpp"
#include "slave/runner/lease.hpp"
#include "slave/runner/local_connection.hpp"
#include "slave/runner/messages.hpp"
#include "slave/runner/spawn.hpp"
#include "slave/runner/sync_plan.hpp"
#include "slave/runner/task_groups.hpp"

namespace rpic {

struct RunnerOptions {
    std::filesystem::path folder;  // exists, and is locked by the caller
    std::string groups;            // where its cgroups may be: see TaskGroups
    rlimit open_files{};           // what a task may have open
};

/// Owns the tasks of a node: starts them, keeps what they print, ends them, and remembers how they
/// ended until the slave says that the master knows. See docs/decisions.md for what is where.
class Runner {
  public:
    /// Kills what an earlier runner of this folder left, and takes up what it wrote down. Throws
    /// ConfigError.
    Runner(boost::asio::any_io_executor executor, RunnerOptions options);

    /// Slaves can connect from now on. Throws ConfigError.
    void listen();

    /// Lives until it has nothing to do any more, or until it was told to stop and all tasks have
    /// ended. Signals must be blocked in every thread.
    boost::asio::awaitable<void> run();

    /// SIGTERM: ends all tasks.
    void stop();

  private:
    struct EndedAttempt {
        RunnerAttempt attempt;
        Instant ended_at{};
        std::size_t inline_bytes = 0;  // of its output, if that is in no file
        std::string output;            // these bytes, if the spool has not taken them
        std::size_t record_head = 0;   // of its record in the spool, before these bytes
        bool in_spool = false;
    };
    struct Reader {  // who waits for output
        std::int64_t id = 0;
        AttemptKey key;
        std::int64_t offset = 0;
    };

    // runner.cpp: the socket, and what is said over it
    boost::asio::awaitable<void> accept_slaves();
    boost::asio::awaitable<void> serve(LocalSocket socket);
    boost::asio::awaitable<void> converse(LocalConnection& connection);
    void on(LocalConnection& connection, const Attach& message);
    void on(LocalConnection& connection, const Launch& message);
    void on(LocalConnection& connection, const StartHeld& message);
    void on(LocalConnection& connection, const KillAttempts& message);
    void on(LocalConnection& connection, const ForgetAttempts& message);
    void on(LocalConnection& connection, const RenewLease& message);
    void on(LocalConnection& connection, const ReadAttempt& message);
    void answer(const Reader& reader);
    void answer_readers(const AttemptKey& key);
    RunnerAttempt describe(const RunningAttempt& attempt) const;
    RunnerAttempt describe(const EndedAttempt& ended) const;
    std::string output_of(const EndedAttempt& ended, std::int64_t offset,
                          std::size_t max_bytes) const;

    // runner_tasks.cpp: from launch to end
    void launch(const LaunchSpec& spec);
    bool start(RunningAttempt& attempt, const LaunchSpec& spec);
    bool open_streams(RunningAttempt& attempt, const LaunchSpec& spec, int (&streams)[3]);
    pid_t give_birth(RunningAttempt& attempt, SpawnRequest request);
    void limit_memory(RunningAttempt& attempt);
    void fail_spawn(RunningAttempt& attempt, const SpawnFailure& failure);
    void fail(RunningAttempt& attempt, std::string outcome, std::string reason);
    void await_output(RunningAttempt& attempt, std::size_t which);
    void read_pipe(RunningAttempt& attempt, std::size_t which);
    void reap();
    void look_for_end(RunningAttempt& attempt);
    void end(RunningAttempt& attempt);
    void end_unborn(const AttemptKey& key, const SpawnFailure& failure);
    void let_go(const AttemptKey& key);
    void keep(RunnerAttempt attempt, std::string_view output);
    void tell(const EndedAttempt& ended, std::string_view output);

    // runner_watch.cpp: signals, time, memory, and what has to be killed
    boost::asio::awaitable<void> await_signals();
    boost::asio::awaitable<void> watch();
    Duration next_look(Instant now) const;
    void look_within(Duration time);
    void look(Instant now);
    void look_at(RunningAttempt& attempt, Instant now);
    void watch_memory();
    void kill_orphans();
    void begin_kill(RunningAttempt& attempt, std::string outcome, std::string reason,
                    Duration grace);
    void sweep(RunningAttempt& attempt, Instant now);
    bool may_end(Instant now) const;

    // runner_sync.cpp: what has to outlast a power cut
    void sync_ends(Instant now);
    void sync_spool();
    void sync_files(std::vector<AttemptKey> keys);
    void finish_sync(int error);

    // runner_past.cpp: what an earlier runner left
    void take_up_spool();
    void take_up_running();
    void remove_unknown_outputs();

    std::filesystem::path output_path(const AttemptKey& key) const;

    boost::asio::any_io_executor executor_;
    RunnerOptions options_;
    std::string id_;    // of the folder
    std::string boot_;  // of the machine
    KeyedRecords spool_;
    KeyedRecords running_records_;
    TaskGroups groups_;
    SyncPlan sync_plan_;
    DiskSync disk_sync_;
    std::vector<AttemptKey> syncing_files_of_;
    boost::asio::steady_timer timer_;
    std::map<AttemptKey, std::unique_ptr<RunningAttempt>> running_;
    std::unordered_map<pid_t, RunningAttempt*> by_pid_;
    HeldLaunches held_;
    std::map<AttemptKey, EndedAttempt> ended_;
    std::vector<Reader> readers_;
    LocalConnection* slave_ = nullptr;
    int listener_ = -1;
    Instant idle_since_;  // nothing was running, ended or asked for since
    Lease lease_;
    Instant memory_look_{};
    Instant orphan_look_{};
    bool ungrouped_ = false;  // tasks have run without a cgroup
    bool stopping_ = false;
};

}  // namespace rpic
