#include "slave/core/attempts.hpp"

#include <algorithm>
#include <limits>

#include "common/limits.hpp"

namespace rpic {

/// Numbers that make no sense are taken for nothing, so that no job can hold less than that.
Holding NodeAttempts::holding_of(const NodeJob& job) {
    Holding holding;
    holding.milli_cpus = milli_cpus(job.cpus);
    holding.memory_bytes = std::max<std::int64_t>(job.memory_bytes, 0);
    for (const auto& [name, count] : job.resources)
        if (count > 0) holding.resources[name] = count;
    return holding;
}

// ------------------------------------------------------------------------ the link to the master

void NodeAttempts::on_joined(Instant now, Effects& effects) {
    joined_ = true;
    send_resync_if_due(now, effects);
}

void NodeAttempts::on_disconnected() {
    joined_ = resync_sent_ = resynced_ = false;
    jobs_.clear();
    for (auto& [key, attempt] : attempts_) attempt.reported = false;
}

std::vector<AttemptState> NodeAttempts::states() const {
    std::vector<AttemptState> states;
    states.reserve(attempts_.size());
    for (const auto& [key, attempt] : attempts_) {
        const char* state = "running";
        if (attempt.phase == Phase::waiting || attempt.promised) state = "waiting";
        if (attempt.phase == Phase::ended) state = "ended";
        states.push_back({key, state});
    }
    return states;
}

void NodeAttempts::send_resync_if_due(Instant now, Effects& effects) {
    if (!joined_ || resync_sent_ || !runner_known_) return;
    resync_sent_ = true;
    resync_sent_at_ = now;
    effects.emplace_back(SendResync{states()});
}

void NodeAttempts::on_resynced(Instant now, const Resynced& answer, Effects& effects) {
    if (!resync_sent_ || resynced_) return;
    for (const auto& verdict : answer.verdicts) {
        auto* attempt = look(verdict.key);
        if (attempt == nullptr) continue;
        // A master that was restored from a backup may count on what its predecessor did not want
        // any more: then it has to hear how that ended, even if it is being killed already.
        if (verdict.verdict == "adopt")
            attempt->discard = false;
        else
            discard(*attempt, effects);
    }
    if (answer.more) return;
    resynced_ = true;
    on_heartbeat_acknowledged(resync_sent_at_, effects);
    for (auto& [key, attempt] : attempts_)
        if (attempt.phase == Phase::ended) report(attempt, effects);
    admit(now, effects);
}

void NodeAttempts::on_orders(Instant now, const StartTasks& orders, Effects& effects) {
    if (orders.spec) jobs_[orders.job] = std::make_shared<const NodeJob>(*orders.spec);
    for (const auto& one : orders.tasks) {
        if (attempts_.size() >= limits::node_attempts) {
            effects.emplace_back(EndLink{"more tasks were ordered than a node takes"});
            break;
        }
        order(now, orders.job, one, effects);
    }
    admit(now, effects);
}

void NodeAttempts::order(Instant now, std::int64_t job, const TaskOrder& order, Effects& effects) {
    const AttemptKey key{job, order.task, order.attempt};
    const auto [place, fresh] = attempts_.try_emplace(key);
    if (!fresh) return;
    auto& attempt = place->second;
    attempt.key = key;
    attempt.item = order.item;
    attempt.ahead = order.ahead;
    const auto known = jobs_.find(job);
    attempt.job = known == jobs_.end() ? std::make_shared<const NodeJob>() : known->second;
    attempt.holding = holding_of(*attempt.job);
    if (known == jobs_.end())
        return end_here(now, attempt, "node", "the order came without what the job is", effects);
    if (!slots_.could_fit(attempt.holding))
        return end_here(now, attempt, "node",
                        "this node offers " + AttemptSlots::words(slots_.capacity()) +
                            ", the task needs " + AttemptSlots::words(attempt.holding),
                        effects);
    (order.ahead ? ahead_ : due_).push_back(key);
    // Those that wait are prepared too: when there is room, they only need to be launched.
    attempt.files = Files::under_way;
    effects.emplace_back(Prepare{key});
}

void NodeAttempts::on_stop(Instant now, const StopAttempts& stop, Effects& effects) {
    SendRetracted retracted;
    for (const auto& key : stop.attempts) {
        auto* attempt = look(key);
        if (attempt == nullptr) continue;
        if (!stop.retract) {
            stop_one(now, *attempt, stop.reason, effects);
        } else if (attempt->not_launched()) {
            // One that was launched ends by itself, and its report answers the order.
            forget(*attempt, effects);
            retracted.attempts.push_back(key);
        }
    }
    if (!retracted.attempts.empty()) effects.emplace_back(std::move(retracted));
    admit(now, effects);
}

void NodeAttempts::stop_one(Instant now, Attempt& attempt, const std::string& reason,
                            Effects& effects) {
    if (attempt.with_runner()) return kill(attempt, reason, effects);
    if (attempt.phase == Phase::collecting) return abandon_collecting(attempt, reason, effects);
    if (attempt.phase != Phase::ended) end_here(now, attempt, "killed", reason, effects);
}

void NodeAttempts::kill(Attempt& attempt, const std::string& reason, Effects& effects) {
    if (!attempt.stop) attempt.stop_reason = reason;
    attempt.stop = true;
    if (!attached_ || attempt.stop_told) return;
    attempt.stop_told = true;
    effects.emplace_back(Kill{attempt.key, attempt.stop_reason});
}

void NodeAttempts::on_acknowledged(Instant now, const AckAttempts& ack, Effects& effects) {
    for (const auto& key : ack.attempts)
        if (auto* attempt = look(key)) discard(*attempt, effects);
    admit(now, effects);
}

void NodeAttempts::discard(Attempt& attempt, Effects& effects) {
    if (!attempt.with_runner()) return forget(attempt, effects);
    attempt.discard = true;
    kill(attempt, "its result is not wanted any more", effects);
}

void NodeAttempts::on_heartbeat_acknowledged(Instant sent_at, Effects& effects) {
    if (!resynced_ || (lease_from_ && sent_at <= *lease_from_)) return;
    lease_from_ = sent_at;
    const bool held = std::any_of(attempts_.begin(), attempts_.end(), [](const auto& entry) {
        return entry.second.with_runner() && entry.second.has_lease();
    });
    if (held && attached_) effects.emplace_back(ExtendLease{sent_at});
}

// ------------------------------------------------------------------------- room, disk and launch

void NodeAttempts::admit(Instant now, Effects& effects) {
    fill_slots(now, effects);
    promise_slots(effects);
}

void NodeAttempts::fill_slots(Instant now, Effects& effects) {
    // The master has counted these in, so whichever finds room starts, whatever is before it.
    std::deque<AttemptKey> still_due;
    for (const auto& key : due_) {
        auto* attempt = look(key);
        if (attempt == nullptr || attempt->phase != Phase::waiting) continue;
        if (slots_.fits(attempt->holding))
            start(now, *attempt, effects);
        else
            still_due.push_back(key);
    }
    due_ = std::move(still_due);
    // Another slot is free before the promised one.
    while (due_.empty() && !promised_.empty()) {
        auto* attempt = look(promised_.front());
        if (attempt != nullptr && attempt->promised) {
            if (!slots_.fits(attempt->holding)) return;
            take_promised_slot(*attempt);
            effects.emplace_back(StartNow{attempt->key});
        }
        promised_.pop_front();
    }
    while (due_.empty() && !ahead_.empty()) {
        auto* attempt = look(ahead_.front());
        if (attempt != nullptr && attempt->phase == Phase::waiting) {
            if (!slots_.fits(attempt->holding)) return;
            start(now, *attempt, effects);
        }
        ahead_.pop_front();
    }
}

/// Finds successors for what the runner has, in the order in which they wait.
void NodeAttempts::promise_slots(Effects& effects) {
    if (!attached_ || !due_.empty() || short_job_ == 0) return;
    while (!without_successor_.empty() && !ahead_.empty()) {
        auto& runs = attempts_.at(*without_successor_.begin());
        auto* waits = look(ahead_.front());
        if (runs.key.job != short_job_ || runs.stop) {
            without_successor_.erase(runs.key);
        } else if (waits == nullptr || waits->phase != Phase::waiting) {
            ahead_.pop_front();
        } else if (waits->key.job != short_job_ || waits->files != Files::ready) {
            return;
        } else {
            waits->phase = Phase::launching;
            waits->by_runner = true;
            waits->promised = runs.key;
            runs.successor = waits->key;
            promised_.push_back(waits->key);
            ahead_.pop_front();
            without_successor_.erase(runs.key);
            effects.emplace_back(Launch{waits->key, runs.key});
        }
    }
}

/// Whoever had it before has ended, or there is room anyway.
void NodeAttempts::take_promised_slot(Attempt& attempt) {
    if (!attempt.promised) return;
    if (auto* other = look(*attempt.promised)) other->successor.reset();
    attempt.promised.reset();
    slots_.take(attempt.holding);
    without_successor_.insert(attempt.key);
}

/// The attempt is about to be no longer with the runner, or before that.
void NodeAttempts::leave_slot(Attempt& attempt) {
    without_successor_.erase(attempt.key);
    if (attempt.has_slot()) slots_.give_back(attempt.holding);
    if (attempt.successor)
        if (auto* successor = look(*attempt.successor)) take_promised_slot(*successor);
    if (!attempt.promised) return;
    auto* other = look(*attempt.promised);
    attempt.promised.reset();
    if (other == nullptr) return;
    other->successor.reset();
    without_successor_.insert(other->key);
}

/// Successors are for jobs whose tasks are too short to be told as started.
void NodeAttempts::note_length(const Attempt& attempt) {
    if (attempt.report.outcome != "exited") return;
    const auto seconds = attempt.report.duration_seconds;
    const bool brief = seconds > 0 && seconds < to_seconds(limits::started_after);
    if (brief && !attempt.has_lease())
        short_job_ = attempt.key.job;
    else if (short_job_ == attempt.key.job)
        short_job_ = 0;
}

void NodeAttempts::start(Instant now, Attempt& attempt, Effects& effects) {
    slots_.take(attempt.holding);
    attempt.phase = Phase::preparing;
    launch_if_ready(now, attempt, effects);
}

void NodeAttempts::launch_if_ready(Instant now, Attempt& attempt, Effects& effects) {
    if (attempt.phase != Phase::preparing || attempt.files != Files::ready) return;
    if (lease_expired(now, attempt))
        return end_here(now, attempt, "lease", "the master was away for too long", effects);
    attempt.phase = Phase::launching;
    attempt.by_runner = true;
    const bool lease = attempt.has_lease();
    if (lease && attached_) effects.emplace_back(ExtendLease{*lease_from_});
    without_successor_.insert(attempt.key);
    effects.emplace_back(Launch{attempt.key, std::nullopt});
}

bool NodeAttempts::lease_expired(Instant now, const Attempt& attempt) const {
    if (!attempt.has_lease()) return false;
    return !lease_from_ || to_seconds(now - *lease_from_) >= attempt.job->stop_after_seconds;
}

void NodeAttempts::on_prepared(Instant now, const AttemptKey& key, Effects& effects) {
    auto* attempt = look(key);
    if (attempt == nullptr) {
        effects.emplace_back(RemoveFolder{key});
        return;
    }
    if (attempt->files != Files::under_way) return;
    attempt->files = Files::ready;
    launch_if_ready(now, *attempt, effects);
    admit(now, effects);
}

void NodeAttempts::on_not_prepared(Instant now, const AttemptKey& key, const std::string& outcome,
                                   const std::string& reason, Effects& effects) {
    auto* attempt = look(key);
    if (attempt == nullptr) {
        effects.emplace_back(RemoveFolder{key});
        return;
    }
    if (attempt->files != Files::under_way) return;
    attempt->files = Files::ready;
    if (attempt->not_launched()) end_here(now, *attempt, outcome, reason, effects);
    admit(now, effects);
}

void NodeAttempts::on_tick(Instant now, Effects& effects) {
    SendStarted started;
    while (!starts_.empty() && starts_.front().first <= now) {
        auto* attempt = look(starts_.front().second);
        starts_.pop_front();
        if (attempt == nullptr || attempt->phase != Phase::running || attempt->told_started)
            continue;
        attempt->told_started = true;
        // Without a link the next resync says that it runs.
        if (resynced_ && !attempt->discard) started.attempts.push_back(attempt->key);
    }
    if (!started.attempts.empty()) effects.emplace_back(std::move(started));
}

std::optional<Instant> NodeAttempts::next_tick() const {
    if (starts_.empty()) return std::nullopt;
    return starts_.front().first;
}

// ------------------------------------------------------------------------------------------ looks

NodeAttempts::Attempt* NodeAttempts::look(const AttemptKey& key) {
    const auto found = attempts_.find(key);
    return found == attempts_.end() ? nullptr : &found->second;
}

const NodeAttempts::Attempt* NodeAttempts::find(const AttemptKey& key) const {
    const auto found = attempts_.find(key);
    return found == attempts_.end() ? nullptr : &found->second;
}

const NodeAttempts::Attempt* NodeAttempts::find_newest(std::int64_t job, std::int64_t task) const {
    auto place = attempts_.upper_bound({job, task, std::numeric_limits<std::int64_t>::max()});
    if (place == attempts_.begin()) return nullptr;
    --place;
    return place->first.job == job && place->first.task == task ? &place->second : nullptr;
}

}  // namespace rpic
