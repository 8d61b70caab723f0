#include "test/sim/runner.hpp"

#include <algorithm>

#include "common/limits.hpp"
#include "test/sim/bugs.hpp"

namespace rpic::sim {

using namespace std::chrono_literals;

namespace {

/// What becomes of one attempt if nobody ends it: the same whenever the seed is.
struct Plan {
    Duration duration{};
    std::string outcome = "exited";
    std::int64_t code = 0;
    bool ignores_term = false;
    int output = 0;  // 0: none, 1: inline, 2: a file
};

Plan plan_of(std::uint64_t seed, const AttemptKey& key, const NodeJob& job) {
    auto mixed = seed;
    for (const auto number : {key.job, key.task, key.attempt})
        mixed = mixed * 1'000'003 + static_cast<std::uint64_t>(number);
    Random random(mixed);
    Plan plan;
    const auto& kind = job.env.at("KIND");
    plan.duration = kind == "short"     ? random.between(5ms, 90ms)
                    : kind == "medium"  ? random.between(200ms, 8s)
                    : kind == "endless" ? random.between(60s, 200s)
                                        : random.between(10s, 70s);
    const auto chance = random.pick(1, 100);
    if (chance > 80) plan.code = 1;
    if (chance > 96) plan.outcome = "signalled";
    plan.ignores_term = random.chance(20);
    plan.output = random.chance(60) ? random.chance(20) ? 2 : 1 : 0;
    return plan;
}

Duration seconds(double count) {
    return Duration(static_cast<Duration::rep>(count * 1e9));
}

}  // namespace

std::string blob_of(const AttemptKey& key) {
    const auto digits = std::to_string(key.job) + "c" + std::to_string(key.task) + "c" +
                        std::to_string(key.attempt);
    return std::string(64 - digits.size(), 'b') + digits;
}

// --------------------------------------------------------------------------------------- its disk

bool RunnerDisk::something_left() const {
    const auto there = [](const auto& entry) { return !entry.second.removed; };
    return !running.empty() || std::any_of(spool.begin(), spool.end(), there);
}

bool RunnerDisk::unsynced() const {
    return std::any_of(spool.begin(), spool.end(),
                       [](const auto& entry) { return !entry.second.synced; });
}

bool RunnerDisk::lose_tail(Random& random) {
    running.clear();
    const auto kept = static_cast<std::uint64_t>(
        random.pick(0, static_cast<std::int64_t>(last_number)));  // of what was not synced
    bool lost = false;
    for (auto& [key, end] : spool) {
        if (!end.synced && end.number > kept) lost = end.lost = true;
        end.synced = true;
        end.lost = end.lost || (end.removed && random.chance(50));
        end.removed = false;
    }
    std::erase_if(spool, [](const auto& entry) { return entry.second.lost; });
    return lost;
}

// ---------------------------------------------------------------------------------- life and death

Runner::Runner(Stage& stage, BoardFacts& board, RunnerDisk& disk, Ear& ear)
    : stage_(stage), board_(board), disk_(disk), ear_(ear) {
    take_up_the_past();
}

Runner::~Runner() {
    *alive_ = false;
    for (const auto& [key, process] : running_) {
        stage_.audit.process_ended(board_.index, key, *process.job);
        stage_.audit.died(key);
    }
}

void Runner::after(Duration local, std::function<void()> action) {
    stage_.timeline.after(board_.clock.lasts(local), [alive = alive_, act = std::move(action)] {
        if (*alive) act();
    });
}

/// Attempts that ran when an earlier runner was killed have ended with it.
void Runner::take_up_the_past() {
    std::erase_if(disk_.spool, [](const auto& entry) { return entry.second.removed; });
    for (const auto& [key, boot] : std::exchange(disk_.running, {})) {
        if (boot != board_.boot || disk_.spool.contains(key)) continue;
        RunnerAttempt attempt;
        attempt.key = attempt.report.key = key;
        attempt.ended = true;
        attempt.report.outcome = "runner";
        attempt.report.reason = "the runner was killed while the task ran";
        keep(std::move(attempt), {});
    }
}

std::vector<RunnerAttempt> Runner::attach() {
    std::vector<RunnerAttempt> all;
    for (const auto& [key, process] : running_) {
        RunnerAttempt attempt;
        attempt.key = attempt.report.key = key;
        attempt.running_seconds = to_seconds(now() - process.began);
        all.push_back(std::move(attempt));
    }
    for (const auto& [key, end] : disk_.spool) {
        if (end.removed) continue;
        all.push_back(end.attempt);
        if (end.boot == board_.boot)
            all.back().report.age_seconds = to_seconds(now() - end.ended_at);
    }
    return all;
}

void Runner::slave_gone() {
    held_.clear();
}

std::vector<AttemptKey> Runner::processes() const {
    std::vector<AttemptKey> keys;
    for (const auto& [key, process] : running_) keys.push_back(key);
    return keys;
}

// ----------------------------------------------------------------------------------- what it does

void Runner::launch(const Launch& order) {
    const auto& key = order.spec.key;
    const auto ended = disk_.spool.find(key);
    if (running_.contains(key)) {
        ear_.on_launched(key);
    } else if (ended != disk_.spool.end() && !ended->second.removed) {
        ear_.on_ended(ended->second.attempt, ended->second.output);
    } else if (held_.contains(key)) {
        return;
    } else if (!order.after || !running_.contains(*order.after) ||
               planted("successor_without_slot") || !held_.hold(*order.after, order.spec)) {
        start(order.spec);
    }
}

void Runner::start(const LaunchSpec& spec) {
    const auto& key = spec.key;
    disk_.running[key] = board_.boot;
    const auto job = board_.jobs.at(key);
    const auto plan = plan_of(board_.seed, key, *job);
    auto& process = running_[key];
    process.spec = spec;
    process.job = job;
    process.began = now();
    process.number = ++last_number_;
    process.ignores_term = plan.ignores_term;
    stage_.trace.line(board_.name, "runs ", key);
    stage_.audit.process_began(board_.index, board_.room, key, *job);
    after(plan.duration, [this, key, number = process.number] {
        const auto found = running_.find(key);
        if (found != running_.end() && found->second.number == number) end(key);
    });
    ear_.on_launched(key);
    if (!looks_) {
        looks_ = true;
        after(limits::runner_check, [this] { look(); });
    }
}

void Runner::start_held(const AttemptKey& key) {
    if (const auto spec = held_.take(key)) start(*spec);
}

void Runner::kill(const AttemptKey& key, const std::string& reason) {
    if (const auto spec = held_.take(key)) {
        RunnerAttempt never_ran;
        never_ran.key = never_ran.report.key = key;
        never_ran.ended = true;
        never_ran.report.outcome = "killed";
        never_ran.report.reason = reason;
        keep(std::move(never_ran), {});
    }
    const auto found = running_.find(key);
    if (found != running_.end()) begin_kill(found->second, "killed", reason);
}

void Runner::begin_kill(Process& process, const std::string& outcome, const std::string& reason) {
    if (process.kill_began) return;
    process.outcome = outcome;
    process.reason = reason;
    process.kill_began = now();
    const auto key = process.spec.key;
    stage_.trace.line(board_.name, "ends ", key, ": ", reason);
    const Duration grace = seconds(process.spec.grace_seconds) + limits::kill_sweep;
    const Duration time = process.ignores_term ? grace : stage_.random.between(1ms, 300ms);
    after(time, [this, key, number = process.number] {
        const auto found = running_.find(key);
        if (found != running_.end() && found->second.number == number) end(key);
    });
}

void Runner::forget(const AttemptKey& key) {
    const auto found = disk_.spool.find(key);
    if (found != disk_.spool.end()) found->second.removed = true;
}

std::optional<std::string> Runner::read(const AttemptKey& key) const {
    const auto found = disk_.spool.find(key);
    if (found == disk_.spool.end() || found->second.removed) return std::nullopt;
    return found->second.output;
}

/// Leases and time limits.
void Runner::look() {
    looks_ = false;
    for (auto& [key, process] : running_) {
        const auto& spec = process.spec;
        const auto limit = seconds(spec.time_limit_seconds);
        looks_ = true;
        if (process.kill_began) continue;
        if (limit > 0ms && now() - process.began >= limit)
            begin_kill(process, "time_limit", "it ran for too long");
        else if (spec.stop_after_seconds > 0 &&
                 lease_.over(now(), process.began, seconds(spec.stop_after_seconds)))
            begin_kill(process, "lease", "the master was away for too long");
    }
    if (looks_) after(limits::runner_check, [this] { look(); });
}

// -------------------------------------------------------------------------------------- how it
// ends

AttemptReport Runner::report_of(const Process& process, std::string& output) const {
    const auto& key = process.spec.key;
    const auto plan = plan_of(board_.seed, key, *process.job);
    AttemptReport report;
    report.key = key;
    report.outcome = process.kill_began ? process.outcome : plan.outcome;
    report.reason = process.reason;
    if (report.outcome == "exited") report.exit_code = plan.code;
    if (report.outcome == "signalled") report.signal = 11;
    report.duration_seconds = to_seconds(now() - process.began);
    if (plan.output == 1) output = "printed by " + name_of(key);
    report.output_bytes = plan.output == 2 ? 1'000'000 : static_cast<std::int64_t>(output.size());
    return report;
}

void Runner::end(const AttemptKey& key) {
    const auto process = std::move(running_.extract(key).mapped());
    stage_.audit.process_ended(board_.index, key, *process.job);
    std::string output;
    RunnerAttempt ended;
    ended.key = key;
    ended.ended = true;
    ended.report = report_of(process, output);
    if (ended.report.output_bytes > 0 && output.empty()) ended.output_file = blob_of(key);
    keep(std::move(ended), output);
    disk_.running.erase(key);
    if (const auto next = held_.take_after(key)) start(*next);
}

/// Writes down how an attempt ended, and then tells it.
void Runner::keep(RunnerAttempt attempt, const std::string& output) {
    const auto key = attempt.key;
    stage_.trace.line(board_.name, key, " has ended: ", attempt.report.outcome, " ",
                      attempt.report.exit_code.value_or(0));
    stage_.audit.ended(attempt.report, attempt.output_file.empty() ? output : attempt.output_file);
    if (!board_.released.contains(key)) board_.finished[key] = false;
    if (!planted("spool_not_durable"))
        disk_.spool[key] = {attempt, output, board_.boot, now(), ++disk_.last_number, false, false};
    ear_.on_ended(attempt, output);
    after(limits::spool_sync + stage_.random.between(0ms, 150ms), [this, key] { sync(key); });
}

void Runner::sync(const AttemptKey& key) {
    // A disk with an error: what it has not got lasts as long as the power does.
    const bool written = !stage_.faults || !stage_.random.chance(2);
    if (!written) stage_.troubles.count(Trouble::spool_not_synced);
    if (const auto found = disk_.spool.find(key); found != disk_.spool.end() && written)
        found->second.synced = true;
    if (const auto found = board_.finished.find(key); found != board_.finished.end() && written)
        found->second = true;
    // What was removed before it is gone for good.
    std::erase_if(disk_.spool, [](const auto& entry) { return entry.second.removed; });
}

}  // namespace rpic::sim
