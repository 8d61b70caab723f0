#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "master/core/cluster.hpp"
#include "master/core/jobs.hpp"
#include "master/core/worker_talk.hpp"
#include "master/turn.hpp"
#include "test/sim/stage.hpp"

namespace rpic::sim {

/// The master's program and machine: the real cores, turns and talk, on the model store and the
/// fake network. Only what the programs do by coroutines and threads is done here by events.
class Master : private TurnPost {
  public:
    explicit Master(Stage& stage);

    enum class Death { killed, no_power, disk_full, disk_broken };
    void start();
    /// What it was committing is on disk or not, as chance has it.
    void die(Death how);
    /// Once it is dead.
    std::function<void()> on_death;
    /// The next commit fails, and the master ends with it: `as` is disk_full or disk_broken.
    void fail_next_commit(Death as) { disk_fails_ = as; }
    /// It is killed while it commits.
    void die_in_next_commit() { dies_in_commit_ = true; }
    void no_more_faults() {
        disk_fails_.reset();
        dies_in_commit_ = false;
    }
    bool up() const { return program_ != nullptr; }
    /// All that was decided is done.
    bool settled() const { return up() && !program_->turning && program_->listens; }

    void on_up(LinkId link, int board, Up& message);

    // Clients. A reply comes once what it promises is on disk; never if the master dies before.
    using SubmitReply = std::function<void(JobId)>;  // 0: refused
    void submit(const std::shared_ptr<const JobSpec>& spec, const SubmitReply& reply);
    /// Something else that a user wants. False: it makes no sense now.
    using Change = std::function<bool(Cluster&, Jobs&, Moment, Effects&)>;
    void change(const Change& change, const std::function<void(bool)>& reply);

    Jobs* jobs() { return up() ? &program_->jobs : nullptr; }
    Cluster* cluster() { return up() ? &program_->cluster : nullptr; }
    /// The id of the node that this key belongs to; empty if nobody has it.
    std::string node_of_key(const std::string& key) const;
    /// Whether it wants this attempt to go on on that node.
    bool wants(const std::string& node_id, const AttemptKey& key) const;

  private:
    struct Session {
        LinkId link = 0;
        int board = 0;
        std::string node_id;
        std::set<JobId> known_jobs;
        std::optional<WorkerTalk> talk;
    };
    struct Program {
        Program(Instant now, const StoreContents& contents);
        Cluster cluster;
        Jobs jobs;
        std::int64_t epoch = 1;
        Turn turn;
        std::vector<std::function<void()>> waiters;  // for the end of the turn
        std::map<std::string, KeyRecord> keys;
        std::map<SessionId, Session> sessions;
        std::map<LinkId, SessionId> by_link;
        bool turning = false;  // a turn is being closed, or carried out
        bool more = false;     // there is something for the next one
        bool listens = false;
        Instant last_turn{};
    };

    std::set<JobId>* known_jobs(SessionId session) override;
    void send(SessionId session, const Message& message) override;
    void drop_job(JobId job) override;

    void after(Duration wait, std::function<void()> action);
    Instant now() const { return clock_.at(stage_.now()); }
    Moment moment() const;
    void tick();
    void take(Effects effects);
    void settle(std::function<void()> waiter);
    void wake();
    void close_turn();
    void commit(Turn turn, std::vector<std::function<void()>> waiters);
    void committed(const Turn& turn, const std::vector<std::function<void()>>& waiters);
    void turn_over();
    Duration commit_time();
    void read_items(Turn& turn);
    void lose_tail();

    void greet(LinkId link, int board, const Greeting& greeting);
    void welcome(SessionId session, const Cluster::Joined& joined, const std::string& new_key);
    void hear(SessionId id, Session& session, Up& message);
    void accept_reports(SessionId id, Session& session, const Reports& reports, Effects& effects);
    void end_session(SessionId id, const std::string& reason);

    Stage& stage_;
    LocalClock clock_;
    std::unique_ptr<Program> program_;
    std::uint64_t life_ = 0;  // of the program: what an earlier one had planned does not happen
    StoreBatch tail_;         // handed to the disk, not synced
    SessionId last_session_ = 0;
    std::int64_t last_fresh_ = 0;
    std::optional<Death> disk_fails_;
    bool dies_in_commit_ = false;
};

}  // namespace rpic::sim
