#include "slave/web/cluster_view.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

#include "common/keys.hpp"
#include "common/limits.hpp"

namespace rpic {

namespace {

/// 0 for what is no number: there is no such job.
std::int64_t number_of(const std::string& text) {
    std::int64_t number = 0;
    std::from_chars(text.data(), text.data() + text.size(), number);
    return number;
}

Duration duration_of(double seconds) {
    const double most = 1e9;
    return Duration(static_cast<std::int64_t>(std::clamp(seconds, -most, most) * 1e9));
}

}  // namespace

ClusterView::ClusterView(const boost::asio::any_io_executor& executor)
    : stream(random_hex(4)), started(Clock::now()), changed(executor) {}

/// Where a change of this part is noted.
ViewChanges& ClusterView::mark(Part part) {
    ++parts_[static_cast<std::size_t>(part)];
    // Nobody takes note for a while: whoever does so then gets all of it.
    const bool too_many = changes_.runs.size() > limits::shown_runs ||
                          changes_.events.size() > limits::shown_events ||
                          changes_.jobs.size() > 2 * limits::shown_jobs;
    if (!changes_.everything && !too_many) return changes_;
    changes_ = {};
    changes_.everything = true;
    return changes_;
}

void ClusterView::put_node(NodeView node, Instant now) {
    mark(Part::nodes).nodes.insert(node.id);
    told[node.id] = now;
    history.note(node, now);
    std::string id = node.id;
    nodes.insert_or_assign(std::move(id), std::move(node));
}

void ClusterView::forget_node(const std::string& id) {
    mark(Part::nodes).nodes.insert(id);
    told.erase(id);
    nodes.erase(id);
    history.forget(id);
}

void ClusterView::put_job(JobView job) {
    const auto id = number_of(job.id);
    mark(Part::jobs).jobs.insert(id);
    jobs.insert_or_assign(id, std::move(job));
    if (jobs.size() <= limits::shown_jobs) return;
    changes_.jobs.insert(jobs.begin()->first);
    jobs.erase(jobs.begin());
}

void ClusterView::forget_job(const std::string& id) {
    const auto number = number_of(id);
    mark(Part::jobs).jobs.insert(number);
    jobs.erase(number);
}

void ClusterView::put_run(const RunView& told_run, Instant now) {
    Run run;
    run.key = {number_of(told_run.job), told_run.task, told_run.attempt};
    run.node = told_run.node;
    run.state = told_run.state;
    run.started = now - duration_of(told_run.started_seconds_ago);
    if (told_run.duration_seconds)
        run.ended = run.started + duration_of(*told_run.duration_seconds);
    mark(Part::runs).runs.insert_or_assign(run.key, run);
    runs.insert_or_assign(run.key, std::move(run));
    if (runs.size() > limits::shown_runs + limits::runs_per_tell) drop_old_runs(now);
}

void ClusterView::forget_runs() {
    mark(Part::runs);
    if (!runs.empty()) changes_.everything = true;
    runs.clear();
}

void ClusterView::put_event(EventView event) {
    mark(Part::events).events.push_back(event);
    events.push_back(std::move(event));
    if (events.size() > limits::shown_events) events.pop_front();
}

void ClusterView::begin_anew() {
    nodes.clear();
    told.clear();
    jobs.clear();
    runs.clear();
    events.clear();
    skipped_runs = 0;
    for (auto& part : parts_) ++part;
    changes_ = {};
    changes_.everything = true;
}

void ClusterView::drop_old_runs(Instant now) {
    std::erase_if(runs, [now](const auto& entry) {
        const auto& ended = entry.second.ended;
        return ended && *ended + limits::shown_run_time < now;
    });
    if (runs.size() <= limits::shown_runs) return;
    std::vector<std::pair<Instant, Run::Key>> by_age;
    // What runs is never too old.
    for (const auto& [key, run] : runs)
        by_age.emplace_back(run.ended.value_or(Instant::max()), key);
    const auto surplus = static_cast<std::ptrdiff_t>(runs.size() - limits::shown_runs);
    std::nth_element(by_age.begin(), by_age.begin() + surplus, by_age.end());
    for (auto old = by_age.begin(); old != by_age.begin() + surplus; ++old) runs.erase(old->second);
}

void ClusterView::drop_old(Instant now) {
    drop_old_runs(now);
    if (now - cleaned_ < limits::web_history_kept) return;
    cleaned_ = now;
    history.drop_old(now);
}

ViewChanges ClusterView::take_changes() {
    return std::exchange(changes_, {});
}

}  // namespace rpic
