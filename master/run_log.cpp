#include "master/run_log.hpp"

#include <algorithm>
#include <limits>
#include <utility>

namespace rpic {

namespace {

std::string_view state_of(const AttemptReport& report) {
    const auto& outcome = report.outcome;
    if (outcome == "exited" && report.exit_code.value_or(0) == 0) return "done";
    if (outcome == "killed") return "cancelled";
    return outcome == "lease" || outcome == "runner" || outcome == "node" ? "lost" : "failed";
}

/// What a node says about time, taken for nothing where it makes no sense.
Duration sane(double seconds) {
    const double most = 1e9;
    if (!(seconds > 0) || seconds > most) return Duration::zero();
    return Duration(static_cast<std::int64_t>(seconds * 1e9));
}

}  // namespace

void RunLog::follow(Instant now, const AttemptKey& key, std::string_view node, bool ahead) {
    if (runs_.size() >= limits::runs_known) {
        ++skipped_;
        return;
    }
    auto& run = runs_[key];
    run.node = node;
    run.started = now;
    run.ahead = ahead;
    if (!ahead) begun_.push_back(key);
}

void RunLog::ordered(Instant now, const AttemptKey& key, std::string_view node, bool ahead) {
    if (!runs_.contains(key)) follow(now, key, node, ahead);
}

void RunLog::started(Instant now, const AttemptKey& key, std::string_view node) {
    const auto run = runs_.find(key);
    if (run == runs_.end()) return follow(now, key, node, false);
    if (!run->second.ahead) return;
    run->second.ahead = false;
    run->second.started = now;
    begun_.push_back(key);
}

/// It is followed no longer, and its end will be told.
RunLog::Followed::iterator RunLog::end_of(Followed::iterator run, std::string_view state,
                                          Instant started, Duration duration) {
    const bool told = run->second.told;
    if (told) --told_;
    // An end is told to all who were told of the beginning.
    if (told || over_untold_ < limits::runs_per_tell) {
        over_untold_ += told ? 0 : 1;
        over_.push_back({run->first, run->second.node, std::string(state), started, duration});
    } else {
        ++skipped_;
    }
    return runs_.erase(run);
}

void RunLog::ended(Instant now, const AttemptReport& report, std::string_view node) {
    const auto run = runs_.find(report.key);
    if (run == runs_.end() || run->second.node != node) return;
    const auto duration = sane(report.duration_seconds);
    end_of(run, state_of(report), now - sane(report.age_seconds) - duration, duration);
}

void RunLog::keep_only(Instant now, std::int64_t job, std::int64_t task,
                       const std::vector<std::int64_t>& attempts) {
    auto run = runs_.lower_bound({job, task, std::numeric_limits<std::int64_t>::min()});
    while (run != runs_.end() && run->first.job == job && run->first.task == task) {
        const auto number = run->first.attempt;
        if (std::find(attempts.begin(), attempts.end(), number) != attempts.end())
            ++run;
        else if (run->second.ahead)
            run = runs_.erase(run);
        else
            run = end_of(run, "lost", run->second.started, now - run->second.started);
    }
}

void RunLog::node_lost(Instant now, std::string_view node) {
    for (auto run = runs_.begin(); run != runs_.end();) {
        if (run->second.node != node)
            ++run;
        else if (run->second.ahead)
            run = runs_.erase(run);
        else
            run = end_of(run, "lost", run->second.started, now - run->second.started);
    }
}

void RunLog::put(Run run) {
    ++last_;
    log_.push_back(std::move(run));
    if (log_.size() > limits::shown_runs) log_.pop_front();
}

void RunLog::collect(Instant now) {
    std::size_t room = limits::runs_per_tell;
    std::vector<AttemptKey> later;
    for (const auto& key : begun_) {
        const auto run = runs_.find(key);
        if (run == runs_.end() || run->second.told || run->second.ahead) continue;
        if (room == 0 || told_ >= limits::shown_runs) {
            later.push_back(key);
            continue;
        }
        --room;
        ++told_;
        run->second.told = true;
        put({key, run->second.node, "running", run->second.started, Duration{-1}});
    }
    begun_ = std::move(later);
    for (auto& run : std::exchange(over_, {})) put(std::move(run));
    over_untold_ = 0;
    const auto too_old = [&](const Run& run) {
        return run.duration >= Duration::zero() &&
               run.started + run.duration + limits::shown_run_time < now;
    };
    while (!log_.empty() && too_old(log_.front())) log_.pop_front();
}

bool RunLog::after(std::uint64_t& seen, std::vector<Run>& found) const {
    const auto news = last_ - seen;
    const bool known = seen <= last_ && news <= log_.size();
    if (known) found.assign(log_.end() - static_cast<std::ptrdiff_t>(news), log_.end());
    seen = last_;
    return known;
}

std::vector<RunLog::Run> RunLog::everything(std::uint64_t& seen) const {
    std::vector<Run> found;
    for (const auto& run : log_)
        if (run.duration >= Duration::zero()) found.push_back(run);
    for (const auto& [key, run] : runs_)
        if (run.told) found.push_back({key, run.node, "running", run.started, Duration{-1}});
    seen = last_;
    return found;
}

}  // namespace rpic
