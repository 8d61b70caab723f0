#include "master/viewers.hpp"

#include <algorithm>

#include "common/limits.hpp"
#include "common/self_stats.hpp"
#include "common/sleep.hpp"
#include "common/text.hpp"
#include "common/version.hpp"
#include "master/answers.hpp"

namespace rpic {

namespace {

AttemptKey key_of(const Job& job, Position position, std::int64_t attempt) {
    AttemptKey key;
    key.job = job.status.id;
    key.task = job.index(position);
    key.attempt = attempt;
    return key;
}

class Noter {
  public:
    explicit Noter(Context& context) : context_(context) {}

    void operator()(const OrderStart& start) {
        context_.waits.add(start.waited_seconds);
        const auto* job = context_.jobs.find(start.job);
        const auto* node = context_.cluster.find_session(start.session);
        if (job == nullptr || node == nullptr) return;
        const auto key = key_of(*job, start.position, start.order.attempt);
        context_.runs.ordered(now_, key, node->record.name, start.order.ahead);
    }
    void operator()(const SaveTask& save) {
        std::vector<std::int64_t> live;
        for (const auto& attempt : save.record.live) live.push_back(attempt.number);
        keep_only(save.record.job, save.record.position, live);
    }
    void operator()(const ForgetTask& forget) { keep_only(forget.job, forget.position, {}); }
    void operator()(const SaveResult& save) {
        if (save.started_ago_seconds > 0) context_.durations.add(save.result.duration_seconds);
    }
    void operator()(const Happened& happened) {
        if (happened.kind == "node_lost") context_.runs.node_lost(now_, happened.node);
    }
    template <class Other>
    void operator()(const Other&) {}

  private:
    void keep_only(JobId id, Position position, const std::vector<std::int64_t>& attempts) {
        const auto* job = context_.jobs.find(id);
        if (job != nullptr) context_.runs.keep_only(now_, id, job->index(position), attempts);
    }

    Context& context_;
    Instant now_ = Clock::now();
};

/// Whether this attempt is one that the node has.
bool has_attempt(const Context& context, const Node& node, const AttemptKey& key) {
    const auto* job = context.jobs.find(key.job);
    const auto* worker = context.jobs.worker(node.record.id);
    const auto position = job == nullptr ? std::nullopt : job->position(key.task);
    return position && worker != nullptr &&
           worker->attempts.contains({key.job, *position, key.attempt});
}

RunView view_of(const RunLog::Run& run, Instant now) {
    RunView view;
    view.job = std::to_string(run.key.job);
    view.task = run.key.task;
    view.attempt = run.key.attempt;
    view.node = run.node;
    view.state = run.state;
    view.started_seconds_ago = to_seconds(now - run.started);
    if (run.duration >= Duration::zero()) view.duration_seconds = to_seconds(run.duration);
    return view;
}

/// A command may have many KiB; whoever looks at a list of jobs reads its beginning.
void shorten(std::vector<std::string>& command) {
    std::size_t room = limits::text_chars;
    std::vector<std::string> words;
    for (const auto& word : command) {
        if (room == 0) break;
        words.push_back(printable(word, room));
        room -= std::min(room, words.back().size());
    }
    command = std::move(words);
}

/// Frames for one webserver, each below the limit.
class Letter {
  public:
    Letter(Context& context, SessionId id, Sessions::Session& session)
        : session_id(id), context_(context), shown_(session.shown) {}

    SessionId session_id;
    std::vector<std::string> frames;

    void write(Instant now) {
        if (shown_.jobs_version != context_.jobs.version() || !shown_.begun) {
            add_jobs();
            add_busy_nodes(now);
            shown_.jobs_version = context_.jobs.version();
        }
        add_runs(now);
        add_events();
        if (now - shown_.metrics_told >= limits::heartbeat) add_metrics(now);
        shown_.begun = true;
    }

  private:
    template <class Message, class Items>
    void add_paged(Message page, const Items& items, Items Message::*list) {
        std::size_t bytes = 0;
        for (const auto& item : items) {
            const auto size = json::serialize(to_json(item)).size();
            if (bytes + size > limits::page_bytes) {
                frames.push_back(encode(page));
                page = {};
                bytes = 0;
            }
            (page.*list).push_back(item);
            bytes += size;
        }
        frames.push_back(encode(page));
    }

    void add_jobs() {
        std::set<JobId> newest;
        std::vector<JobView> changed;
        const auto& all = context_.jobs.all();
        for (auto entry = all.rbegin(); entry != all.rend() && newest.size() < limits::shown_jobs;
             ++entry) {
            newest.insert(entry->first);
            const bool known = shown_.jobs.contains(entry->first);
            if (known && entry->second->changed <= shown_.jobs_version) continue;
            changed.push_back(context_.jobs.view(*entry->second));
            shorten(changed.back().command);
        }
        JobsChanged first;
        for (const auto id : shown_.jobs)
            if (!newest.contains(id)) first.gone.push_back(std::to_string(id));
        shown_.jobs = std::move(newest);
        if (!changed.empty() || !first.gone.empty())
            add_paged(std::move(first), changed, &JobsChanged::jobs);
    }

    /// What runs on a node is told with its heartbeats; here, at once.
    void add_busy_nodes(Instant now) {
        std::vector<NodeView> nodes;
        for (const auto& [id, worker] : context_.jobs.workers()) {
            if (worker.node == nullptr || nodes.size() >= limits::shown_jobs) continue;
            const auto busy = std::make_pair(worker.attempts.size(), worker.ahead.size());
            auto& told = shown_.busy[id];
            if (told == busy) continue;
            told = busy;
            nodes.push_back(node_view(context_, *worker.node, now));
        }
        std::erase_if(shown_.busy, [&](const auto& entry) {
            return !context_.jobs.workers().contains(entry.first);
        });
        if (!nodes.empty()) add_paged(NodesChanged{}, nodes, &NodesChanged::nodes);
    }

    void add_runs(Instant now) {
        std::vector<RunLog::Run> runs;
        RunsChanged first;
        if (!shown_.begun || !context_.runs.after(shown_.runs_seen, runs)) {
            runs = context_.runs.everything(shown_.runs_seen);
            first.anew = true;
        }
        first.skipped = context_.runs.skipped();
        if (runs.empty() && !first.anew && first.skipped == shown_.runs_skipped) return;
        shown_.runs_skipped = first.skipped;
        std::vector<RunView> views;
        for (const auto& run : runs) views.push_back(view_of(run, now));
        add_paged(std::move(first), views, &RunsChanged::runs);
    }

    void add_events() {
        const auto last = context_.events.last();
        if (!shown_.begun)
            shown_.events_seen = last - static_cast<std::int64_t>(limits::shown_events);
        if (shown_.events_seen >= last) return;
        // Those in between that are too many are not shown; the newest matter.
        const auto most = limits::shown_events;
        shown_.events_seen = std::max(shown_.events_seen, last - static_cast<std::int64_t>(most));
        const auto events = context_.events.after(shown_.events_seen, most);
        shown_.events_seen = last;
        if (!events.empty()) add_paged(EventsHappened{}, events, &EventsHappened::events);
    }

    void add_metrics(Instant now) {
        MetricsChanged told;
        told.status = status_of(context_);
        for (const auto& [id, job] : context_.jobs.all())
            for (const auto state : {TaskState::queued, TaskState::running, TaskState::done,
                                     TaskState::failed, TaskState::cancelled})
                told.tasks[std::string(state_name(state))] += job->count(state);
        told.task_seconds = context_.durations;
        told.wait_seconds = context_.waits;
        frames.push_back(encode(told));
        shown_.metrics_told = now;
    }

    Context& context_;
    Sessions::Shown& shown_;
};

}  // namespace

Status status_of(Context& context) {
    Status status;
    status.master_version = version;
    status.cluster = context.cluster_id;
    status.nodes = context.cluster.count_by_state();
    for (const auto& [id, node] : context.cluster.nodes())
        if (!node->health.reasons().empty()) ++status.nodes_unwell;
    status.jobs = context.jobs.count_by_state();
    status.rss_bytes = own_rss_bytes();
    status.bytes_written = own_bytes_written();
    status.uptime_seconds = to_seconds(Clock::now() - context.started);
    auto counters = to_json(context.counters).as_object();
    const auto of_jobs = to_json(context.jobs.counters());
    for (const auto& entry : of_jobs.as_object()) counters[entry.key()] = entry.value();
    from_json(counters, status.counters, "counters");
    const auto& store = context.store.statistics();
    status.counters["store_commits"] = static_cast<std::int64_t>(store.commits);
    status.counters["store_rows"] = static_cast<std::int64_t>(store.rows);
    status.counters["outputs_lost"] = static_cast<std::int64_t>(store.outputs_lost);
    return status;
}

void note_for_viewers(Context& context, const Effect& effect) {
    std::visit(Noter(context), effect);
}

void note_started(Context& context, const Node& node, const std::vector<AttemptKey>& attempts) {
    for (const auto& key : attempts)
        if (has_attempt(context, node, key))
            context.runs.started(Clock::now(), key, node.record.name);
}

void note_ended(Context& context, const Node& node, const std::vector<AttemptReport>& reports) {
    for (const auto& report : reports) context.runs.ended(Clock::now(), report, node.record.name);
}

asio::awaitable<void> feed_viewers(Context& context) {
    constexpr Duration step = std::chrono::milliseconds(250);
    for (;;) {
        co_await sleep_for(step);
        const auto now = Clock::now();
        context.runs.collect(now);
        std::vector<Letter> letters;
        for (auto& [id, session] : context.sessions.all()) {
            const bool behind = session.connection->outbox_bytes() > limits::outbox_soft_bytes;
            if (!session.watching || !session.complete || behind) continue;
            letters.emplace_back(context, id, session).write(now);
            if (letters.back().frames.empty()) letters.pop_back();
        }
        if (letters.empty()) continue;
        co_await context.turns.settled();
        for (const auto& letter : letters) {
            const auto* session = context.sessions.find(letter.session_id);
            if (session == nullptr) continue;
            for (const auto& frame : letter.frames) session->connection->send_bytes(frame);
        }
    }
}

}  // namespace rpic
