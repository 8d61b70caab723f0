#pragma once

#include <memory>
#include <string>

#include "test/sim/runner.hpp"
#include "test/sim/slave.hpp"

namespace rpic::sim {

/// One machine with its slave and its runner, which live and die apart, and what stays on its disk.
class Board : public RunnerSocket, public Runner::Ear {
  public:
    Board(Stage& stage, int index, std::uint64_t seed);

    void power_on();
    void power_off();
    void start_slave();
    void kill_slave();
    /// Somebody starts its slave again, with --rejoin.
    void rejoin();
    void kill_runner();

    bool powered() const { return powered_; }
    /// A power cut now may take an end that is written down.
    bool unsynced() const { return disk_.unsynced(); }
    Slave* slave() { return slave_.get(); }
    const BoardFacts& facts() const { return facts_; }
    const std::string& node_key() const { return node_key_; }
    std::vector<AttemptKey> processes() const;
    /// Nothing runs here, and nothing waits for the master.
    bool empty() const;
    /// Why it is not.
    std::string what_is_left() const;
    /// The slave knows its runner, and the master both, since this time or earlier; max() if not.
    /// To be asked now and then.
    Duration calm_since();

    void on_down(LinkId link, Down& message);

    // What slave and runner say to one another.
    void connect_runner() override;
    void to_runner(std::function<void(Runner&)> message) override;
    bool something_left() const override { return runner_ != nullptr || disk_.something_left(); }
    void on_launched(const AttemptKey& key) override;
    void on_ended(const RunnerAttempt& attempt, const std::string& output) override;

  private:
    void to_slave(std::function<void(Slave&)> message);
    void attach();
    void end_runner();
    void watch_idle(int looks);
    Duration latency();

    Stage& stage_;
    BoardFacts facts_;
    RunnerDisk disk_;
    std::string node_key_;
    bool powered_ = false;
    std::unique_ptr<Runner> runner_;
    std::unique_ptr<Slave> slave_;
    std::uint64_t runner_life_ = 0;
    std::uint64_t slave_life_ = 0;
    bool socket_ = false;      // the runner and this slave are connected
    bool connecting_ = false;  // they are about to be
    Duration last_to_slave_{};
    Duration last_to_runner_{};
    Duration calm_since_ = Duration::max();
    std::tuple<LinkId, std::uint64_t, std::uint64_t> calm_with_;  // that link, runner and slave
};

}  // namespace rpic::sim
