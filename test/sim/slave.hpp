#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "slave/core/attempts.hpp"
#include "slave/core/backoff.hpp"
#include "slave/core/heartbeat_times.hpp"
#include "slave/runner/waiting_launches.hpp"
#include "test/sim/runner.hpp"
#include "test/sim/stage.hpp"

namespace rpic::sim {

/// What a slave asks of its board: the way to the runner, which is started when it is wanted.
class RunnerSocket {
  public:
    virtual ~RunnerSocket() = default;
    /// The list of all attempts comes as on_attached().
    virtual void connect_runner() = 0;
    /// In order; lost if the runner ends before.
    virtual void to_runner(std::function<void(Runner&)> message) = 0;
    virtual bool something_left() const = 0;
};

/// The slave's program on one board: the real attempts, leases and waiting launches; the link, the
/// files and the socket of the runner are models.
class Slave {
  public:
    Slave(Stage& stage, BoardFacts& board, std::string& node_key, RunnerSocket& socket);
    /// It is killed, or the power goes.
    ~Slave();

    void start();

    // What it hears.
    void on_down(LinkId link, Down& message);
    void on_attached(const std::vector<RunnerAttempt>& all);
    void on_launched(const AttemptKey& key);
    void on_ended(const RunnerAttempt& attempt, const std::string& output);
    void on_runner_gone();

    LinkId link() const { return link_; }
    /// Joined, and the master knows what is here.
    bool settled() const { return joined_ && attempts_.resynced(); }
    bool attached() const { return attached_; }
    /// The master does not know the node's key.
    bool refused() const { return refused_; }
    const NodeAttempts& attempts() const { return attempts_; }

  private:
    using Effects = NodeAttempts::Effects;

    Instant now() const { return board_.clock.at(stage_.now()); }
    void after(Duration local, std::function<void()> action);
    void connect();
    void disconnect(const std::string& reason, Duration at_least = {});
    void beat(LinkId link);
    void watch_silence(LinkId link);
    void send(Up message);

    void take(const Welcome& welcome);
    void take(const Refused& refused);
    void take(const HeartbeatAck& ack);
    void take(const StartTasks& orders);
    void take(const StopAttempts& stop);
    void take(const AckAttempts& ack);
    void take(const Resynced& answer);
    void take(const DropJob& drop) { attempts_.on_drop_job(drop); }
    void take(const Power&) {}
    void take(const Closed& closed) { disconnect(closed.reason); }

    void apply(Effects effects);
    void carry_out(const NodeAttempts::Prepare& effect, Effects& more);
    void carry_out(const NodeAttempts::Launch& effect, Effects& more);
    void carry_out(const NodeAttempts::StartNow& effect, Effects& more);
    void carry_out(const NodeAttempts::Kill& effect, Effects& more);
    void carry_out(const NodeAttempts::Collect& effect, Effects& more);
    void carry_out(const NodeAttempts::DropOutput& effect, Effects& more);
    void carry_out(const NodeAttempts::Forget& effect, Effects& more);
    void carry_out(const NodeAttempts::RemoveFolder&, Effects&) {}
    void carry_out(const NodeAttempts::ExtendLease& effect, Effects& more);
    void carry_out(const NodeAttempts::SendResync& effect, Effects& more);
    void carry_out(const NodeAttempts::SendStarted& effect, Effects& more);
    void carry_out(const NodeAttempts::SendRetracted& effect, Effects& more);
    void carry_out(const NodeAttempts::SendReport& effect, Effects& more);
    void carry_out(const NodeAttempts::EndLink& effect, Effects& more);
    void want_tick();
    void look_for_runner();
    void want_runner();
    void prepared(const AttemptKey& key, bool on_disk);
    void collect(const AttemptKey& key);
    void upload(const AttemptKey& key);
    void read(const AttemptKey& key);
    void collected(const AttemptKey& key, bool output_here);
    void read_output(const AttemptKey& key);
    void send_reports();
    void release(const AttemptKey& key);

    Stage& stage_;
    BoardFacts& board_;
    std::string& node_key_;  // on the board's disk
    RunnerSocket& socket_;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
    NodeAttempts attempts_;
    HeartbeatTimes beats_;
    Backoff backoff_;
    WaitingLaunches waiting_;
    std::map<AttemptKey, Launch> launches_;      // that wait
    std::map<AttemptKey, std::string> outputs_;  // inline ones, in memory
    struct Due {
        AttemptKey key;
        std::string output;
    };
    std::deque<Due> reports_due_;
    LinkId link_ = 0;
    bool joined_ = false;
    bool refused_ = false;
    bool attached_ = false;
    bool connecting_runner_ = false;
    bool ticks_ = false;
    Instant heard_{};
    std::int64_t last_beat_ = 0;
    std::int64_t epoch_ = 0;  // of the master's store
};

}  // namespace rpic::sim
