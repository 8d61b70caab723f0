#pragma once

#include <deque>
#include <map>
#include <optional>
#include <string>

#include "slave/core/attempts.hpp"
#include "slave/core/heartbeat_times.hpp"
#include "slave/identity.hpp"
#include "slave/options.hpp"
#include "slave/role.hpp"
#include "slave/runner/runner_link.hpp"
#include "slave/runner_output.hpp"
#include "slave/task_files.hpp"
#include "slave/task_launch.hpp"

namespace rpic {

/// The slave that runs tasks: brings together the master's orders, the runner and the disk. What is
/// to be done is decided by NodeAttempts; here it is done. Until the first order comes there is
/// neither a runner nor a helper thread nor a second connection.
class WorkerRole : public Role, private RunnerHandler {
  public:
    /// `runner_program` as for RunnerLink.
    WorkerRole(const asio::any_io_executor& executor, const SlaveOptions& options,
               const Identity& identity, Holding capacity,
               std::filesystem::path runner_program = {});

    void on_joined(Connection& link, const HostPort& master, const Welcome& welcome) override;
    void perform_action(Connection& link, const Vitals& vitals) override;
    void on_message(const ToNode& message) override;
    void on_disconnected(std::string_view master, std::string_view reason) override;
    asio::awaitable<void> run() override;

  private:
    using Effects = NodeAttempts::Effects;
    using Attempt = NodeAttempts::Attempt;

    /// Attempts that wait for one of a number of loops to take care of them.
    template <class Item>
    struct Queue {
        explicit Queue(const asio::any_io_executor& executor) : filled(executor) {}
        void push(Item item) {
            items.push_back(std::move(item));
            filled.notify();
        }
        asio::awaitable<Item> pop() {
            auto seen = filled.count();
            while (items.empty()) seen = co_await filled.wait(seen);
            Item item = std::move(items.front());
            items.pop_front();
            co_return item;
        }
        /// What is there once something is, `most` at most.
        asio::awaitable<std::vector<Item>> pop_some(std::size_t most) {
            std::vector<Item> some;
            auto first = co_await pop();
            some.push_back(std::move(first));
            while (!items.empty() && some.size() < most) {
                some.push_back(std::move(items.front()));
                items.pop_front();
            }
            co_return some;
        }
        std::deque<Item> items;
        Wakeup filled;
    };

    // What the master says.
    void take(const StartTasks& orders);
    void take(const StopAttempts& stop);
    void take(const AckAttempts& ack);
    void take(const DropJob& drop);
    void take(const Resynced& answer);
    void take(const HeartbeatAck& ack);
    void take(const OpenBulk&);
    void take(const Power& power);
    template <class Other>
    void take(const Other&) {}

    // What the runner says.
    void on_attached(const std::vector<RunnerAttempt>& attempts) override;
    void on_no_runner() override;
    void on_launched(const Launched& message) override;
    void on_ended(const RunnerAttempt& attempt, std::string_view output) override;
    void on_output(const AttemptOutput& message, std::string_view records) override;
    void on_runner_gone(const std::string& reason) override;

    // Effects of the decisions.
    void apply(Effects effects);
    void carry_out(const NodeAttempts::Prepare& effect, Effects& more);
    void carry_out(const NodeAttempts::Launch& effect, Effects& more);
    void carry_out(const NodeAttempts::StartNow& effect, Effects& more);
    void carry_out(const NodeAttempts::Kill& effect, Effects& more);
    void carry_out(const NodeAttempts::Collect& effect, Effects& more);
    void carry_out(const NodeAttempts::DropOutput& effect, Effects& more);
    void carry_out(const NodeAttempts::Forget& effect, Effects& more);
    void carry_out(const NodeAttempts::RemoveFolder& effect, Effects& more);
    void carry_out(const NodeAttempts::ExtendLease& effect, Effects& more);
    void carry_out(const NodeAttempts::SendResync& effect, Effects& more);
    void carry_out(const NodeAttempts::SendStarted& effect, Effects& more);
    void carry_out(const NodeAttempts::SendRetracted& effect, Effects& more);
    void carry_out(const NodeAttempts::SendReport& effect, Effects& more);
    void carry_out(const NodeAttempts::EndLink& effect, Effects& more);
    void refuse_launch(const AttemptKey& key, const std::string& outcome, const std::string& reason,
                       Effects& more);
    void let_output_go_unless_wanted(const AttemptKey& key);
    void remove_unknown_folders();
    void warn_of_closed_folders();
    void send_reports();

    asio::awaitable<void> tick_loop();
    asio::awaitable<void> report_loop();
    asio::awaitable<void> prepare_loop();
    asio::awaitable<void> fetch_loop();
    asio::awaitable<void> fetch_loops(int count);
    asio::awaitable<void> collect_loop();
    asio::awaitable<void> collect_loops(int count);
    asio::awaitable<void> remove_loop();
    asio::awaitable<void> rest_loop();
    asio::awaitable<void> power_loop();
    asio::awaitable<void> prepare(std::vector<AttemptKey> keys);
    asio::awaitable<void> fetch(AttemptKey key);
    void not_prepared(const AttemptKey& key, const std::string& outcome, const std::string& reason,
                      Effects& effects);
    bool awaits_files(const AttemptKey& key) const;
    bool is_collecting(const AttemptKey& key) const;
    asio::awaitable<void> collect(AttemptKey key);
    asio::awaitable<void> read_loop();
    asio::awaitable<void> finish_collecting(AttemptKey key, NodeAttempts::Collected collected);
    asio::awaitable<bool> read_output(AttemptKey key);
    asio::awaitable<std::optional<OutputPiece>> answer(ReadOutput question);
    asio::awaitable<void> find_output(AttemptKey key, ReadOutput question, OutputPiece& piece);

    const SlaveOptions& options_;
    const Identity& identity_;
    asio::any_io_executor executor_;
    NodeAttempts attempts_;
    TaskSurroundings surroundings_;
    TaskFiles files_;
    RunnerLink runner_;
    RunnerOutput runner_output_;
    Connection* link_ = nullptr;
    HeartbeatTimes beats_sent_;
    std::map<AttemptKey, std::string> outputs_;  // inline ones of attempts that have ended
    struct Due {
        AttemptKey key;
        std::string output;
    };
    std::deque<Due> reports_due_;
    std::size_t reports_bytes_ = 0;  // of their outputs
    std::int64_t epoch_ = 0;         // of the master's store; 0: it has not joined yet
    Queue<AttemptKey> to_prepare_;   // without files to fetch: they wait for no transfer
    Queue<AttemptKey> to_fetch_;
    Queue<AttemptKey> to_collect_;
    Queue<AttemptKey> to_read_;  // with nothing to collect but inline output: likewise
    Queue<std::string> to_remove_;
    Queue<std::string> power_commands_;
    Wakeup ordered_;       // the master sent orders
    Wakeup changed_;       // the attempts
    Wakeup ticks_;         // there is a time to wait for
    Wakeup reports_;       // there are reports to be sent
    Wakeup reports_sent_;  // there is room for more of them
    bool tick_loop_waits_ = false;
    bool runner_known_ = false;
    bool warned_ = false;
};

}  // namespace rpic
