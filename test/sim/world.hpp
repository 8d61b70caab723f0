#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "test/sim/board.hpp"
#include "test/sim/master.hpp"
#include "test/sim/stage.hpp"
#include "test/sim/users.hpp"

namespace rpic::sim {

/// What came of one seed.
struct Outcome {
    std::optional<Kind> kind;  // of the violation; none: all is well
    std::string violation;
    std::string trace;
    std::int64_t jobs = 0;
    std::int64_t attempts = 0;
    std::int64_t faults = 0;
    Troubles troubles;
    Duration passed{};  // virtual
};

/// A cluster, its users and all that goes wrong, from one seed: first with faults, then without,
/// until every job has ended.
class World {
  public:
    World(std::uint64_t seed, Policy policy, bool traced);
    World(const World&) = delete;
    World& operator=(const World&) = delete;

    Outcome run();

  private:
    void plan_siege();
    void plan_bad_start();
    void plan_restore();
    void plan_users();
    void plan_faults();
    void fault(int kind);
    void cut_power_before(Board& board, Duration latest);
    void make_slow(Board& board, Duration up, Duration down, Duration time);
    void answer_late(Board& board);
    void cut_off(Board& board);
    void cut(Board& board, bool up, bool down, Duration time);
    void master_dies(int kind);
    bool files_wait();
    void restore_before(Duration latest);
    void restore();
    void want_back(const std::string& name);
    void make_peace();
    void look_for_orphans();
    bool all_is_over();
    [[noreturn]] void give_up();
    Board& some_board();
    Board& busy_board();

    Stage stage_;
    Master master_;
    std::deque<Board> boards_;
    Users users_;
    Duration peace_{};  // when the faults end
    std::int64_t faults_ = 0;
    std::optional<ModelStore::Contents> backup_;
    std::map<AttemptKey, Duration> unwanted_since_;
};

}  // namespace rpic::sim
