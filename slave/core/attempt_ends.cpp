#include <algorithm>
#include <utility>

#include "common/limits.hpp"
#include "slave/core/attempts.hpp"

/// The second half of NodeAttempts: what the runner says, and how attempts end.
namespace rpic {

namespace {

Duration seconds(double count) {
    constexpr double most = 1e9;  // what a duration holds with certainty; 30 years
    return std::chrono::duration_cast<Duration>(
        std::chrono::duration<double>(std::clamp(count, 0.0, most)));
}

void add_reason(AttemptReport& report, const std::string& reason) {
    if (reason.empty()) return;
    if (!report.reason.empty()) report.reason += "; ";
    report.reason += reason;
}

}  // namespace

bool NodeAttempts::Attempt::brings_files() const {
    const auto& outcome = report.outcome;
    const bool ran = outcome == "exited" || outcome == "signalled" || outcome == "time_limit" ||
                     outcome == "memory";
    return ran && !job->out.empty();
}

// -------------------------------------------------------------------------------------- the runner

void NodeAttempts::on_no_runner(Instant now, Effects& effects) {
    runner_known_ = true;
    send_resync_if_due(now, effects);
}

void NodeAttempts::on_runner_gone() {
    attached_ = false;
    for (auto& [key, attempt] : attempts_) attempt.stop_told = false;
}

void NodeAttempts::on_attached(Instant now, const std::vector<Seen>& all, Effects& effects) {
    attached_ = true;
    runner_known_ = true;
    std::set<AttemptKey> listed;
    bool lease = false;
    for (const auto& seen : all) {
        listed.insert(seen.key);
        if (forget_later_.contains(seen.key))
            effects.emplace_back(Forget{seen.key});
        else
            adopt(now, seen, effects);
    }
    forget_later_.clear();
    std::vector<AttemptKey> lost;
    for (auto& [key, attempt] : attempts_) {
        if (attempt.with_runner() && attempt.has_lease()) lease = true;
        // A launch that no runner has answered is sent again by the link to it.
        if (!attempt.by_runner || attempt.phase == Phase::launching || listed.contains(key))
            continue;
        attempt.by_runner = false;
        if (attempt.phase == Phase::running) lost.push_back(key);
    }
    if (lease && lease_from_) effects.emplace_back(ExtendLease{*lease_from_});
    for (const auto& key : lost)
        if (auto* attempt = look(key))
            end_here(now, *attempt, "runner", "its runner was killed", effects);
    send_resync_if_due(now, effects);
    admit(now, effects);
}

void NodeAttempts::adopt(Instant now, const Seen& seen, Effects& effects) {
    const auto [place, fresh] = attempts_.try_emplace(seen.key);
    auto& attempt = place->second;
    if (fresh) {
        attempt.key = seen.key;
        attempt.job = seen.job;
        attempt.holding = holding_of(*seen.job);
        attempt.files = Files::ready;
        attempt.by_runner = true;
        attempt.told_started = true;
        attempt.phase = Phase::launching;
        slots_.take(attempt.holding);
    }
    if (!attempt.with_runner()) return;
    take_promised_slot(attempt);
    if (attempt.phase == Phase::launching) {
        attempt.phase = Phase::running;
        attempt.launched_at = now - seconds(seen.running_seconds);
        if (!attempt.told_started) starts_.emplace_back(now + limits::started_after, seen.key);
    }
    if (seen.ended)
        end_by_runner(now, attempt, seen, false, effects);
    else if (attempt.stop)
        kill(attempt, attempt.stop_reason, effects);
}

void NodeAttempts::on_launched(Instant now, const AttemptKey& key, Effects& effects) {
    auto* attempt = look(key);
    if (attempt == nullptr || attempt->phase != Phase::launching) return;
    take_promised_slot(*attempt);
    attempt->phase = Phase::running;
    attempt->launched_at = now;
    starts_.emplace_back(now + limits::started_after, key);
    if (attempt->stop) kill(*attempt, attempt->stop_reason, effects);
}

void NodeAttempts::on_ended(Instant now, const Seen& seen, bool output_here, Effects& effects) {
    auto* attempt = look(seen.key);
    if (attempt == nullptr) {
        effects.emplace_back(Forget{seen.key});
        return;
    }
    if (attempt->with_runner()) end_by_runner(now, *attempt, seen, output_here, effects);
    admit(now, effects);
}

// ----------------------------------------------------------------------------------------- the end

void NodeAttempts::end_by_runner(Instant now, Attempt& attempt, const Seen& seen, bool output_here,
                                 Effects& effects) {
    if (attempt.discard) return forget(attempt, effects);
    leave_slot(attempt);
    attempt.phase = Phase::collecting;
    attempt.report = seen.report;
    attempt.report.key = attempt.key;
    note_length(attempt);
    attempt.output_file = seen.output_file;
    attempt.ended_at = now - seconds(seen.report.age_seconds);
    hold_output(attempt, output_here);
    if (!attempt.output_file.empty() || attempt.brings_files() ||
        (attempt.has_inline_output() && !output_here)) {
        attempt.gathering = true;
        effects.emplace_back(Collect{attempt.key});
    } else {
        attempt.phase = Phase::ended;
        report(attempt, effects);
    }
    drop_output_if_too_much(attempt, effects);
}

void NodeAttempts::on_collected(const AttemptKey& key, const Collected& collected,
                                Effects& effects) {
    auto* attempt = look(key);
    if (attempt == nullptr) {
        effects.emplace_back(RemoveFolder{key});
        return;
    }
    if (!attempt->gathering) return;
    if (std::exchange(attempt->gather_again, false)) {
        effects.emplace_back(Collect{key});
        return;
    }
    attempt->gathering = false;
    auto& ending = attempt->report;
    if (attempt->phase == Phase::collecting) {
        attempt->phase = Phase::ended;
        ending.output_blob = collected.output_blob;
        ending.files = collected.files;
        add_reason(ending, collected.trouble);
        if (!attempt->output_file.empty() && ending.output_blob.empty()) ending.output_bytes = 0;
    }
    release_output(*attempt);
    hold_output(*attempt, collected.output_here);
    // What even the runner does not have any more is not waited for.
    if (attempt->has_inline_output() && !attempt->output_here) ending.output_bytes = 0;
    report(*attempt, effects);
    drop_output_if_too_much(*attempt, effects);
}

void NodeAttempts::on_master_restored(Effects& effects) {
    for (auto& [key, attempt] : attempts_) {
        auto& ending = attempt.report;
        const bool brought =
            attempt.phase == Phase::ended && !(ending.output_blob.empty() && ending.files.empty());
        if (!brought && attempt.phase != Phase::collecting) continue;
        ending.output_blob.clear();
        ending.files.clear();
        attempt.phase = Phase::collecting;
        if (std::exchange(attempt.gathering, true))
            attempt.gather_again = true;
        else
            effects.emplace_back(Collect{key});
    }
}

void NodeAttempts::end_here(Instant now, Attempt& attempt, const std::string& outcome,
                            const std::string& reason, Effects& effects) {
    if (attempt.discard) return forget(attempt, effects);
    leave_slot(attempt);
    attempt.phase = Phase::ended;
    attempt.ended_at = now;
    attempt.report.key = attempt.key;
    attempt.report.outcome = outcome;
    attempt.report.reason = reason;
    if (outcome == "cannot_execute") attempt.report.exit_code = 126;
    if (attempt.launched_at != Instant{})
        attempt.report.duration_seconds = to_seconds(now - attempt.launched_at);
    report(attempt, effects);
}

/// Files that are still on their way to a master who does not want them would keep it waiting.
void NodeAttempts::abandon_collecting(Attempt& attempt, const std::string& reason,
                                      Effects& effects) {
    auto& ending = attempt.report;
    ending.outcome = "killed";
    ending.exit_code.reset();
    ending.signal.reset();
    ending.reason = reason;
    if (!attempt.output_here) ending.output_bytes = 0;
    attempt.phase = Phase::ended;
    report(attempt, effects);
}

void NodeAttempts::hold_output(Attempt& attempt, bool here) {
    attempt.output_here = here && attempt.has_inline_output();
    if (attempt.output_here) held_bytes_ += static_cast<std::size_t>(attempt.report.output_bytes);
}

void NodeAttempts::release_output(Attempt& attempt) {
    if (!attempt.output_here) return;
    attempt.output_here = false;
    held_bytes_ -= static_cast<std::size_t>(attempt.report.output_bytes);
}

void NodeAttempts::drop_output(Attempt& attempt, Effects& effects) {
    if (!attempt.output_here) return;
    release_output(attempt);
    effects.emplace_back(DropOutput{attempt.key});
}

void NodeAttempts::drop_output_if_too_much(Attempt& attempt, Effects& effects) {
    if (held_bytes_ > limits::held_output_bytes) drop_output(attempt, effects);
}

void NodeAttempts::report(Attempt& attempt, Effects& effects) {
    if (!resynced_ || attempt.reported) return;
    if (attempt.has_inline_output() && !attempt.output_here) {
        // It was told before, or there was too much to keep: the runner still has it.
        if (attempt.gathering) return;
        attempt.gathering = true;
        effects.emplace_back(Collect{attempt.key});
        return;
    }
    attempt.reported = true;
    release_output(attempt);
    effects.emplace_back(SendReport{attempt.key});
}

void NodeAttempts::forget(Attempt& attempt, Effects& effects) {
    const auto key = attempt.key;
    leave_slot(attempt);
    drop_output(attempt, effects);
    if (attempt.by_runner) {
        if (attached_)
            effects.emplace_back(Forget{key});
        else
            forget_later_.insert(key);
    }
    // Somebody who works in the folder says when that is over, and it is removed then.
    const bool busy = attempt.files == Files::under_way || attempt.gathering;
    if (attempt.files != Files::none && !busy) effects.emplace_back(RemoveFolder{key});
    attempts_.erase(key);
}

}  // namespace rpic
