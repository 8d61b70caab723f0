#pragma once

#include <deque>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <stdexcept>
#include <string>
#include <tuple>
#include <vector>

#include "common/limits.hpp"
#include "master/core/cluster.hpp"
#include "master/core/jobs.hpp"

/// A cluster of a few nodes, a master's disk and chance: what a run of the real programs does to
/// Jobs, in memory and from one seed. Whatever must always hold is looked at after each step.
namespace rpic::test {

/// What must never be the case is.
struct Broken : std::runtime_error {
    using std::runtime_error::runtime_error;
};

class RandomWorld {
  public:
    explicit RandomWorld(std::uint64_t seed);
    RandomWorld(const RandomWorld&) = delete;
    RandomWorld& operator=(const RandomWorld&) = delete;

    /// One thing happens. Throws Broken.
    void step();
    /// No more trouble from now on: in the end every job has ended.
    void settle();

    std::string last;  // what the last step was
    std::map<std::string, int> done_so_far;

  private:
    using TaskId = std::pair<JobId, Position>;

    struct Run {
        std::string state;  // waiting | running | ended
        double stop_after = 0;
        std::string killed;  // outcome of its end, once it is told to end
        AttemptReport report;
    };
    struct Board {
        std::string id;
        std::string name;
        std::int64_t cpus = 1;
        SessionId session = 0;
        bool resynced = false;  // on this session
        Instant heard{};        // when the master last heard of it, as far as it knows
        std::map<AttemptKey, Run> runs;
        std::deque<Effect> orders;  // on their way to it
    };

    // What happens.
    void submit();
    void work();
    void end_some();
    void deliver(Board& board);
    void disconnect(Board& board);
    void connect(Board& board);
    void reconnect_or_break();
    void resync(Board& board, bool lies);
    void pass(Duration time);
    void drain();
    void remove_board();
    void change_jobs();
    void retry();
    void lie();
    void forget();
    void restart(bool new_epoch);

    // The board's side.
    void order(Board& board, const OrderStart& start);
    void stop(Board& board, const OrderStop& stop);
    void end_run(Board& board, const AttemptKey& key, const std::string& outcome, int code);
    void report(Board& board, const AttemptKey& key);
    void start_waiting(Board& board);
    void end_leases();
    std::int64_t milli_in_use(const Board& board) const;
    std::int64_t milli_of(const AttemptKey& key) const;

    // The master's side.
    void apply(Effects effects);
    void send(SessionId session, Effect effect);
    void look(const Job& job) const;
    void look(const Job& job, Position position) const;
    void look(const Worker& worker) const;
    void look_at_all() const;
    void compare(const Jobs& before) const;
    std::vector<TaskState> stored_states(const JobStatus& status, std::int64_t* highest) const;

    Board* some_board(bool connected);
    Job* some_job(bool ended);
    std::int64_t pick(std::int64_t low, std::int64_t high);
    bool chance(int percent) { return pick(1, 100) <= percent; }
    Moment moment() const { return {now_, now_.time_since_epoch().count() / 1'000'000}; }

    std::mt19937_64 random_;
    Instant now_{std::chrono::seconds(1000)};
    std::unique_ptr<Cluster> cluster_;
    std::unique_ptr<Jobs> jobs_;
    std::map<std::string, Board> boards_;
    SessionId last_session_ = 0;
    int boards_made_ = 0;

    // The disk.
    std::int64_t epoch_ = 1;
    JobId next_job_ = 1;
    std::map<std::string, NodeRecord> nodes_;
    std::map<JobId, std::pair<JobStatus, std::shared_ptr<const JobSpec>>> stored_;
    std::map<TaskId, TaskRecord> tasks_;
    std::map<TaskId, TaskResult> results_;

    std::set<std::tuple<JobId, Position, std::int64_t>> ordered_;  // attempts that ever were
    std::set<TaskId> may_end_again_;                               // retried since their result
};

}  // namespace rpic::test
