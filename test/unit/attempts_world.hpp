#pragma once

#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "slave/core/attempts.hpp"

/// The attempts of a node with their surroundings, for tests: the time, and the effects of the last
/// event in words, so that one comparison says both what happened and that nothing else did.
namespace rpic::test {

using namespace std::chrono_literals;
using Lines = std::vector<std::string>;

inline constexpr AttemptKey one{1, 1, 1};
inline constexpr AttemptKey two{1, 2, 1};
inline constexpr AttemptKey three{1, 3, 1};
inline constexpr AttemptKey four{1, 4, 1};

inline std::string words(const AttemptKey& key) {
    return std::to_string(key.job) + "." + std::to_string(key.task) + "." +
           std::to_string(key.attempt);
}

inline std::string words(const std::vector<AttemptKey>& keys) {
    std::string text;
    for (const auto& key : keys) text += " " + words(key);
    return text;
}

struct EffectWords {
    using A = NodeAttempts;
    std::string operator()(const A::Prepare& e) const { return "prepare " + words(e.key); }
    std::string operator()(const A::Launch& e) const {
        return "launch " + words(e.key) + (e.after ? " after " + words(*e.after) : "");
    }
    std::string operator()(const A::StartNow& e) const { return "start " + words(e.key); }
    std::string operator()(const A::Kill& e) const {
        return "kill " + words(e.key) + ": " + e.reason;
    }
    std::string operator()(const A::Collect& e) const { return "collect " + words(e.key); }
    std::string operator()(const A::DropOutput& e) const { return "drop output " + words(e.key); }
    std::string operator()(const A::Forget& e) const { return "forget " + words(e.key); }
    std::string operator()(const A::RemoveFolder& e) const {
        return "remove folder " + words(e.key);
    }
    std::string operator()(const A::ExtendLease& e) const {
        return "lease from " + std::to_string(e.sent_at.time_since_epoch() / 1s);
    }
    std::string operator()(const A::SendResync& e) const {
        std::string text = "resync";
        for (const auto& attempt : e.attempts) text += " " + words(attempt.key) + attempt.state[0];
        return text;
    }
    std::string operator()(const A::SendStarted& e) const { return "started" + words(e.attempts); }
    std::string operator()(const A::SendRetracted& e) const {
        return "retracted" + words(e.attempts);
    }
    std::string operator()(const A::SendReport& e) const { return "report " + words(e.key); }
    std::string operator()(const A::EndLink& e) const { return "end link: " + e.reason; }
};

inline Holding capacity_of(std::int64_t cpus) {
    Holding capacity;
    capacity.milli_cpus = cpus * 1000;
    capacity.memory_bytes = 1000;
    capacity.resources["camera"] = 1;
    return capacity;
}

class AttemptsWorld {
  public:
    using Effects = NodeAttempts::Effects;

    /// A node that has joined, with no runner so far.
    explicit AttemptsWorld(std::int64_t cpus = 2, bool joined = true)
        : attempts(capacity_of(cpus)) {
        if (!joined) return;
        no_runner();
        join();
        resynced();
    }

    template <class Event>
    Lines happen(Event event) {
        effects_.clear();
        event(effects_);
        Lines lines;
        for (const auto& effect : effects_) lines.push_back(std::visit(EffectWords{}, effect));
        return lines;
    }

    Lines join() {
        return happen([&](Effects& e) { attempts.on_joined(now, e); });
    }
    Lines master_restored() {
        return happen([&](Effects& e) { attempts.on_master_restored(e); });
    }
    Lines resynced(const std::vector<std::pair<AttemptKey, std::string>>& verdicts = {},
                   bool more = false) {
        Resynced answer;
        for (const auto& [key, verdict] : verdicts) answer.verdicts.push_back({key, verdict});
        answer.more = more;
        return happen([&](Effects& e) { attempts.on_resynced(now, answer, e); });
    }
    /// Orders the tasks `first` to `last` of job 1, attempt 1.
    Lines orders(std::int64_t first, std::int64_t last, bool ahead = false) {
        StartTasks message;
        message.job = 1;
        message.spec = job;
        for (auto task = first; task <= last; ++task) message.tasks.push_back({task, 1, "", ahead});
        return happen([&](Effects& e) { attempts.on_orders(now, message, e); });
    }
    Lines order(std::int64_t task, bool ahead = false) { return orders(task, task, ahead); }
    Lines stop(const std::vector<AttemptKey>& keys, bool retract = false) {
        StopAttempts message;
        message.attempts = keys;
        message.retract = retract;
        message.reason = "cancelled";
        return happen([&](Effects& e) { attempts.on_stop(now, message, e); });
    }
    Lines acknowledge(const std::vector<AttemptKey>& keys) {
        AckAttempts message;
        message.attempts = keys;
        return happen([&](Effects& e) { attempts.on_acknowledged(now, message, e); });
    }
    Lines heartbeat_acknowledged(Instant sent_at) {
        return happen([&](Effects& e) { attempts.on_heartbeat_acknowledged(sent_at, e); });
    }
    Lines no_runner() {
        return happen([&](Effects& e) { attempts.on_no_runner(now, e); });
    }
    Lines attached(const std::vector<NodeAttempts::Seen>& all = {}) {
        return happen([&](Effects& e) { attempts.on_attached(now, all, e); });
    }
    Lines launched(const AttemptKey& key) {
        return happen([&](Effects& e) { attempts.on_launched(now, key, e); });
    }
    Lines ended(const NodeAttempts::Seen& seen, bool output_here = true) {
        return happen([&](Effects& e) { attempts.on_ended(now, seen, output_here, e); });
    }
    Lines prepared(const AttemptKey& key) {
        return happen([&](Effects& e) { attempts.on_prepared(now, key, e); });
    }
    Lines not_prepared(const AttemptKey& key, const std::string& outcome = "node") {
        return happen(
            [&](Effects& e) { attempts.on_not_prepared(now, key, outcome, "disk full", e); });
    }
    Lines collected(const AttemptKey& key, const NodeAttempts::Collected& what = {}) {
        return happen([&](Effects& e) { attempts.on_collected(key, what, e); });
    }
    Lines tick() {
        return happen([&](Effects& e) { attempts.on_tick(now, e); });
    }

    /// What the runner says of an attempt that exited with 0.
    NodeAttempts::Seen exited(const AttemptKey& key, std::int64_t output_bytes = 0) const {
        NodeAttempts::Seen seen;
        seen.key = key;
        seen.ended = true;
        seen.job = std::make_shared<const NodeJob>(job);
        seen.report.outcome = "exited";
        seen.report.exit_code = 0;
        seen.report.output_bytes = output_bytes;
        return seen;
    }
    /// The same, soon after it began.
    NodeAttempts::Seen soon_exited(const AttemptKey& key) const {
        auto seen = exited(key);
        seen.report.duration_seconds = 0.001;
        return seen;
    }
    NodeAttempts::Seen running(const AttemptKey& key) const {
        NodeAttempts::Seen seen;
        seen.key = key;
        seen.job = std::make_shared<const NodeJob>(job);
        return seen;
    }

    /// Brings task `task` to where it runs.
    void run(std::int64_t task) {
        const AttemptKey key{1, task, 1};
        order(task);
        prepared(key);
        launched(key);
        REQUIRE(at(key).phase == NodeAttempts::Phase::running);
    }

    const NodeAttempts::Attempt& at(const AttemptKey& key) const {
        const auto* attempt = attempts.find(key);
        INFO("looking for " << words(key));
        REQUIRE(attempt != nullptr);
        return *attempt;
    }
    std::int64_t used_milli_cpus() const { return attempts.slots().used().milli_cpus; }

    Instant now{1000s};
    NodeAttempts attempts;
    NodeJob job;  // of the next orders

  private:
    Effects effects_;
};

/// A node with a runner on which task 1 runs.
inline AttemptsWorld with_one_running(std::int64_t cpus = 2) {
    AttemptsWorld world(cpus);
    world.attached();
    world.run(1);
    return world;
}

}  // namespace rpic::test
