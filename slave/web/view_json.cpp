#include "slave/web/view_json.hpp"

#include <algorithm>
#include <cmath>
#include <tuple>
#include <vector>

#include "common/limits.hpp"
#include "slave/web/verdict.hpp"

namespace rpic {

namespace {

double seconds_between(Instant from, Instant to) {
    return std::round(std::max(0.0, to_seconds(to - from)) * 1000) / 1000;
}

/// How long a node has been silent, as of now: the master said it some time ago.
std::optional<double> last_seen(const ClusterView& view, const NodeView& node, Instant now) {
    if (!node.last_seen_seconds) return std::nullopt;
    const auto told = view.told.find(node.id);
    if (told == view.told.end()) return node.last_seen_seconds;
    return *node.last_seen_seconds + seconds_between(told->second, now);
}

json::value node_value(const ClusterView& view, const NodeView& node, Instant now) {
    json::value value = to_json(node);
    value.as_object()["last_seen_seconds"] = to_json(last_seen(view, node, now));
    return value;
}

json::array nodes_array(const ClusterView& view, Instant now) {
    std::vector<const NodeView*> sorted;
    sorted.reserve(view.nodes.size());
    for (const auto& [id, node] : view.nodes) sorted.push_back(&node);
    std::sort(sorted.begin(), sorted.end(), [](const NodeView* a, const NodeView* b) {
        return std::tie(a->name, a->id) < std::tie(b->name, b->id);
    });
    json::array array;
    array.reserve(sorted.size());
    for (const NodeView* node : sorted) array.push_back(node_value(view, *node, now));
    return array;
}

json::value run_value(const ClusterView& view, const Run& run) {
    json::object object;
    const auto& [job, task, attempt] = run.key;
    object["job"] = std::to_string(job);
    object["task"] = task;
    object["attempt"] = attempt;
    object["node"] = run.node;
    object["state"] = run.state;
    object["started"] = clock_seconds(view, run.started);
    object["ended"] = nullptr;
    if (run.ended) object["ended"] = clock_seconds(view, *run.ended);
    return object;
}

json::array runs_array(const ClusterView& view, std::vector<const Run*> runs) {
    // A few more are kept than are shown: those that ended first are left out.
    if (runs.size() > limits::shown_runs) {
        const auto surplus = static_cast<std::ptrdiff_t>(runs.size() - limits::shown_runs);
        std::nth_element(
            runs.begin(), runs.begin() + surplus, runs.end(), [](const Run* a, const Run* b) {
                return a->ended.value_or(Instant::max()) < b->ended.value_or(Instant::max());
            });
        runs.erase(runs.begin(), runs.begin() + surplus);
    }
    std::sort(runs.begin(), runs.end(), [](const Run* a, const Run* b) {
        return std::tie(a->started, a->key) < std::tie(b->started, b->key);
    });
    json::array array;
    array.reserve(runs.size());
    for (const Run* run : runs) array.push_back(run_value(view, *run));
    return array;
}

/// To a tenth, which is more than any picture shows.
json::value tenths(std::optional<float> value) {
    if (!value) return nullptr;
    const double rounded = std::round(static_cast<double>(*value) * 10) / 10;
    return rounded;
}

/// A column for each figure: their names are told once.
json::object history_value(const ClusterView& view, const std::string& id,
                           const VitalsHistory::Entry& entry) {
    json::array heard;
    json::array cpu;
    json::array memory;
    json::array temperature;
    json::array tasks;
    for (const auto& sample : entry.samples) {
        heard.push_back(clock_seconds(view, sample.heard));
        cpu.push_back(tenths(sample.cpu_percent));
        memory.push_back(tenths(sample.memory_percent));
        temperature.push_back(tenths(sample.temperature_c));
        tasks.push_back(sample.tasks);
    }
    json::array away;
    for (const auto& gap : entry.away) {
        json::object period;
        period["from"] = clock_seconds(view, gap.from);
        period["to"] = nullptr;
        if (gap.to) period["to"] = clock_seconds(view, *gap.to);
        away.push_back(std::move(period));
    }
    json::object object;
    object["id"] = id;
    object["heard"] = std::move(heard);
    object["cpu_percent"] = std::move(cpu);
    object["memory_percent"] = std::move(memory);
    object["temperature_c"] = std::move(temperature);
    object["running_tasks"] = std::move(tasks);
    object["away"] = std::move(away);
    return object;
}

json::object with_clock(const ClusterView& view, Instant now) {
    json::object object;
    object["clock"] = clock_seconds(view, now);
    return object;
}

void add_master(json::object& object, const ClusterView& view, Instant now) {
    object["master"] = to_json(view.master_view);
    object["address"] = view.master;
    object["connected"] = view.connected;
    object["updated_seconds_ago"] = nullptr;
    if (view.updated) object["updated_seconds_ago"] = seconds_between(*view.updated, now);
    object["trouble"] = view.trouble;
}

}  // namespace

double clock_seconds(const ClusterView& view, Instant instant) {
    return std::round(to_seconds(instant - view.started) * 1000) / 1000;
}

std::string nodes_json(const ClusterView& view, Instant now) {
    json::object object;
    object["version"] = 1;
    object["nodes"] = nodes_array(view, now);
    return json::serialize(object);
}

std::string history_json(const ClusterView& view, Instant now) {
    json::object object;
    object["version"] = 1;
    object["clock"] = clock_seconds(view, now);
    json::array nodes;
    for (const auto& [id, entry] : view.history.entries())
        nodes.push_back(history_value(view, id, entry));
    object["nodes"] = std::move(nodes);
    return json::serialize(object);
}

std::string node_json(const ClusterView& view, const NodeView& node, Instant now) {
    json::object object;
    object["version"] = 1;
    object["node"] = node_value(view, node, now);
    return json::serialize(object);
}

std::string master_json(const ClusterView& view, Instant now) {
    json::object object;
    object["version"] = 1;
    add_master(object, view, now);
    return json::serialize(object);
}

std::string state_json(const ClusterView& view, const std::string& id, Instant now) {
    json::object object;
    object["version"] = 1;
    object["id"] = id;
    object["clock"] = clock_seconds(view, now);
    object["verdict"] = to_json(verdict_of(view));
    add_master(object, view, now);
    object["nodes"] = nodes_array(view, now);
    json::array jobs;
    for (auto job = view.jobs.rbegin(); job != view.jobs.rend(); ++job)
        jobs.push_back(to_json(job->second));
    object["jobs"] = std::move(jobs);
    std::vector<const Run*> runs;
    for (const auto& [key, run] : view.runs) runs.push_back(&run);
    object["tasks"] = runs_array(view, std::move(runs));
    object["skipped"] = view.skipped_runs;
    json::array events;
    for (const auto& event : view.events) events.push_back(to_json(event));
    object["events"] = std::move(events);
    return json::serialize(object);
}

std::string nodes_event(const ClusterView& view, const std::set<std::string>& ids, Instant now) {
    auto object = with_clock(view, now);
    json::array changed;
    json::array gone;
    for (const auto& id : ids) {
        const auto node = view.nodes.find(id);
        if (node == view.nodes.end())
            gone.push_back(json::string(id));
        else
            changed.push_back(node_value(view, node->second, now));
    }
    object["changed"] = std::move(changed);
    object["gone"] = std::move(gone);
    return json::serialize(object);
}

std::string jobs_event(const ClusterView& view, const std::set<std::int64_t>& ids, Instant now) {
    auto object = with_clock(view, now);
    json::array changed;
    json::array gone;
    for (const auto id : ids) {
        const auto job = view.jobs.find(id);
        if (job == view.jobs.end())
            gone.push_back(json::string(std::to_string(id)));
        else
            changed.push_back(to_json(job->second));
    }
    object["changed"] = std::move(changed);
    object["gone"] = std::move(gone);
    return json::serialize(object);
}

std::string tasks_event(const ClusterView& view, const std::map<Run::Key, Run>& runs, Instant now) {
    auto object = with_clock(view, now);
    std::vector<const Run*> all;
    for (const auto& [key, run] : runs) all.push_back(&run);
    object["tasks"] = runs_array(view, std::move(all));
    object["skipped"] = view.skipped_runs;
    return json::serialize(object);
}

std::string events_event(const ClusterView& view, const std::vector<EventView>& events,
                         Instant now) {
    auto object = with_clock(view, now);
    object["events"] = to_json(events);
    return json::serialize(object);
}

std::string master_event(const ClusterView& view, Instant now) {
    auto object = with_clock(view, now);
    add_master(object, view, now);
    return json::serialize(object);
}

std::string alive_event(const ClusterView& view, Instant now) {
    return json::serialize(with_clock(view, now));
}

}  // namespace rpic
