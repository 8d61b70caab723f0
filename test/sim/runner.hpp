#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "slave/runner/held_launches.hpp"
#include "slave/runner/lease.hpp"
#include "slave/runner/messages.hpp"
#include "test/sim/stage.hpp"

namespace rpic::sim {

/// What a board keeps for its runner: in the kernel's memory at first, on the disk once synced.
struct RunnerDisk {
    struct End {
        RunnerAttempt attempt;
        std::string output;
        int boot = 0;
        Instant ended_at{};
        std::uint64_t number = 0;  // in the order in which they were written
        bool synced = false;
        bool removed = false;  // what removes it may not be synced
        bool lost = false;
    };
    std::map<AttemptKey, int> running;  // with the boot; never synced
    std::map<AttemptKey, End> spool;
    std::uint64_t last_number = 0;

    bool something_left() const;
    bool unsynced() const;
    /// The power goes: the tail that was not synced is lost, and what was removed may be back.
    /// False if all that was there is still there.
    bool lose_tail(Random& random);
};

/// What a board tells its runner about itself.
struct BoardFacts {
    int index = 0;
    std::string name;
    Holding room;
    LocalClock clock;
    int boot = 0;
    bool rejoin = false;  // its slave may join anew if its key is refused
    std::uint64_t seed = 0;
    std::map<AttemptKey, std::shared_ptr<const NodeJob>> jobs;  // the context of a launch
    /// Ends that are written down, until the node may forget them; true: they outlast the power.
    std::map<AttemptKey, bool> finished;
    std::set<AttemptKey> released;  // that the master does not want
};

/// The runner of one board: it owns the processes. Its lease and what it holds back are the real
/// ones; processes, disk and socket are models.
class Runner {
  public:
    /// What it says to the slave that is attached, in order.
    class Ear {
      public:
        virtual ~Ear() = default;
        virtual void on_launched(const AttemptKey& key) = 0;
        virtual void on_ended(const RunnerAttempt& attempt, const std::string& output) = 0;
    };

    Runner(Stage& stage, BoardFacts& board, RunnerDisk& disk, Ear& ear);
    /// It is killed, and its tasks with it; or the power goes.
    ~Runner();

    /// A slave is there; everything that it has.
    std::vector<RunnerAttempt> attach();
    void slave_gone();
    void launch(const Launch& order);
    void start_held(const AttemptKey& key);
    void kill(const AttemptKey& key, const std::string& reason);
    void forget(const AttemptKey& key);
    void renew(Instant sent_at) { lease_.renew(sent_at, now()); }
    /// The inline output of one that has ended; nothing: it is not known.
    std::optional<std::string> read(const AttemptKey& key) const;

    bool idle() const { return running_.empty() && disk_.spool.empty(); }
    std::vector<AttemptKey> processes() const;

  private:
    struct Process {
        LaunchSpec spec;
        std::shared_ptr<const NodeJob> job;
        Instant began{};
        std::uint64_t number = 0;
        bool ignores_term = false;
        std::optional<Instant> kill_began;
        std::string outcome;  // of an order to end it
        std::string reason;
    };

    Instant now() const { return board_.clock.at(stage_.now()); }
    void after(Duration local, std::function<void()> action);
    void take_up_the_past();
    void start(const LaunchSpec& spec);
    void begin_kill(Process& process, const std::string& outcome, const std::string& reason);
    void end(const AttemptKey& key);
    AttemptReport report_of(const Process& process, std::string& output) const;
    void keep(RunnerAttempt attempt, const std::string& output);
    void sync(const AttemptKey& key);
    void look();

    Stage& stage_;
    BoardFacts& board_;
    RunnerDisk& disk_;
    Ear& ear_;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
    std::map<AttemptKey, Process> running_;
    HeldLaunches held_;
    Lease lease_;
    std::uint64_t last_number_ = 0;
    bool looks_ = false;
};

/// The name under which a file that the attempt made is known to the master.
std::string blob_of(const AttemptKey& key);

}  // namespace rpic::sim
