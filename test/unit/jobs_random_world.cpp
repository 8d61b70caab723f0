#include "test/unit/jobs_random_world.hpp"

#include <algorithm>

namespace rpic::test {

using namespace std::chrono_literals;

namespace {

void must(bool holds, const std::string& what) {
    if (!holds) throw Broken(what);
}

std::string words(JobId job, Position position) {
    return "task " + std::to_string(job) + " at " + std::to_string(position);
}

constexpr Cluster::Timers timers{limits::suspect_after, limits::lost_after,
                                 limits::lost_after_master_start};

}  // namespace

RandomWorld::RandomWorld(std::uint64_t seed) : random_(seed) {
    cluster_ = std::make_unique<Cluster>(timers, now_);
    jobs_ = std::make_unique<Jobs>(
        *cluster_, Jobs::Start{now_, epoch_, next_job_, limits::lost_after_master_start});
    cluster_->set_listener(jobs_.get());
    for (int count = 0; count < 3; ++count) {
        Board board;
        board.id = board.name = "n" + std::to_string(++boards_made_);
        board.cpus = 1 + count % 3;
        connect(boards_[board.id] = board);
    }
}

std::int64_t RandomWorld::pick(std::int64_t low, std::int64_t high) {
    return low + static_cast<std::int64_t>(random_() % static_cast<std::uint64_t>(high - low + 1));
}

void RandomWorld::step() {
    const struct {
        const char* name;
        int weight;
        void (RandomWorld::*what)();
    } kinds[] = {
        {"submit", 8, &RandomWorld::submit},
        {"work", 40, &RandomWorld::work},
        {"end some", 30, &RandomWorld::end_some},
        {"reconnect or break", 8, &RandomWorld::reconnect_or_break},
        {"drain", 3, &RandomWorld::drain},
        {"change jobs", 4, &RandomWorld::change_jobs},
        {"retry", 3, &RandomWorld::retry},
        {"lie", 2, &RandomWorld::lie},
        {"forget", 1, &RandomWorld::forget},
        {"remove a board", 1, &RandomWorld::remove_board},
    };
    auto choice = pick(1, 112);
    if (choice > 100) {
        const bool restarts = choice > 110;
        last = restarts ? "restart" : "time passes";
        ++done_so_far[last];
        if (restarts)
            restart(chance(20));
        else
            pass(pick(1, 120) * 250ms * (chance(10) ? 10 : 1));
        return look_at_all();
    }
    for (const auto& kind : kinds) {
        if ((choice -= kind.weight) > 0) continue;
        last = kind.name;
        ++done_so_far[last];
        (this->*kind.what)();
        break;
    }
    look_at_all();
}

// ------------------------------------------------------------------------------------ what happens

void RandomWorld::submit() {
    auto spec = std::make_shared<JobSpec>();
    spec->command = {"true"};
    spec->cpus = static_cast<double>(pick(0, 4)) / 2;
    if (spec->cpus > 1) spec->cpus = 1;
    if (chance(60)) spec->array = "1-" + std::to_string(pick(1, 12)) + (chance(20) ? "%2" : "");
    if (chance(25)) spec->on_disconnect = "stop";
    if (spec->on_disconnect == "stop") spec->lost_after_seconds = 60;
    if (chance(40)) spec->retries = pick(0, 2);
    if (chance(15)) spec->max_fails = pick(0, 2);
    if (chance(15)) spec->held = true;
    if (chance(20)) spec->priority = pick(-1, 1);
    if (chance(5)) spec->notify = "echo";
    if (chance(25) && !stored_.empty())
        for (auto count = pick(1, 2); count > 0; --count) {
            auto root = stored_.begin();
            std::advance(root, pick(0, static_cast<std::int64_t>(stored_.size()) - 1));
            spec->after.push_back((chance(50) ? "any:" : "") + std::to_string(root->first));
        }
    if (spec->array.empty() && chance(10)) {
        for (const auto& [id, board] : boards_) spec->on_each.push_back(id);
        spec->cpus = 0;
    }
    Effects effects;
    static_cast<void>(jobs_->submit(moment(), spec, chance(50) ? "ann" : "bob", 0, effects));
    apply(std::move(effects));
}

void RandomWorld::work() {
    Effects effects;
    jobs_->place(moment(), effects);
    apply(std::move(effects));
    for (auto& [id, board] : boards_)
        if (chance(80)) deliver(board);
}

void RandomWorld::end_some() {
    for (auto& [id, board] : boards_) {
        std::vector<AttemptKey> keys;
        for (const auto& [key, run] : board.runs)
            if (run.state == "running" && (!run.killed.empty() || chance(40))) keys.push_back(key);
        for (const auto& key : keys) {
            const auto killed = board.runs.at(key).killed;
            if (!killed.empty() && chance(70)) {
                end_run(board, key, killed, 0);
            } else if (chance(70)) {
                end_run(board, key, "exited", 0);
            } else {
                const char* outcomes[] = {"exited", "exited", "exited", "signalled", "time_limit",
                                          "runner", "node",   "killed", "nonsense"};
                end_run(board, key, outcomes[pick(0, 8)], 1);
            }
        }
    }
}

void RandomWorld::reconnect_or_break() {
    auto* away = some_board(false);
    if (away != nullptr && chance(60)) {
        if (chance(20)) away->runs.clear();  // it was switched off and on
        return connect(*away);
    }
    auto* board = some_board(true);
    if (board == nullptr) return;
    if (!board->resynced) return resync(*board, chance(15));
    if (chance(20)) board->runs.clear();
    // Its connection is replaced by a newer one before anybody has noticed that it was broken.
    if (chance(30))
        connect(*board);
    else
        disconnect(*board);
}

void RandomWorld::drain() {
    if (boards_.empty()) return;
    auto board = boards_.begin();
    std::advance(board, pick(0, static_cast<std::int64_t>(boards_.size()) - 1));
    const auto* node = cluster_->find(board->first);
    if (node == nullptr) return;
    Effects effects;
    const bool draining = !node->record.draining;
    cluster_->set_draining(board->first, draining, effects);
    std::optional<Instant> deadline;
    if (draining && chance(60)) deadline = now_ + 5s;
    jobs_->on_drain(*node, deadline, effects);
    if (!draining) cluster_->quarantine(board->first, "", effects);
    apply(std::move(effects));
}

void RandomWorld::remove_board() {
    if (!chance(30) || boards_.size() < 3) return;
    auto board = boards_.begin();
    std::advance(board, pick(0, static_cast<std::int64_t>(boards_.size()) - 1));
    Effects effects;
    cluster_->remove(now_, board->first, effects);
    boards_.erase(board);
    apply(std::move(effects));
    Board fresh;
    fresh.id = fresh.name = "n" + std::to_string(++boards_made_);
    fresh.cpus = pick(1, 3);
    connect(boards_[fresh.id] = fresh);
}

void RandomWorld::change_jobs() {
    auto* job = some_job(false);
    if (job == nullptr) return;
    Effects effects;
    const auto what = pick(1, 10);
    if (what <= 2) {
        jobs_->cancel(moment(), *job, "cancelled by ann", effects);
    } else if (what <= 5) {
        jobs_->cancel_task(moment(), *job, pick(0, job->status.size - 1), effects);
    } else if (what <= 8) {
        jobs_->hold(moment(), *job, !job->status.held, effects);
    } else {
        jobs_->set_priority(*job, pick(-2, 2), effects);
    }
    apply(std::move(effects));
}

void RandomWorld::retry() {
    auto* job = some_job(chance(80));
    if (job == nullptr) return;
    std::vector<TaskState> states;
    if (job->ended()) states = stored_states(job->status, nullptr);
    Effects effects;
    const bool was_cancelling = job->status.cancelled && !job->ended();
    const bool cancelled_too = chance(50);
    const auto count = jobs_->retry(moment(), *job, states, cancelled_too, effects);
    must(!was_cancelling || count == 0, "a task of a job that is being cancelled is retried");
    for (const auto& [task, result] : results_)
        if (count > 0 && task.first == job->status.id &&
            is_taken_up(*task_state(result.state), cancelled_too))
            may_end_again_.insert(task);
    apply(std::move(effects));
}

/// A node says what is not so.
void RandomWorld::lie() {
    auto* board = some_board(true);
    if (board == nullptr || stored_.empty()) return;
    AttemptReport report;
    report.key.job = pick(-1, next_job_);
    report.key.task = chance(10) ? std::numeric_limits<std::int64_t>::min() : pick(-1, 12);
    report.key.attempt = pick(-1, 3);
    // Its own attempts it may report as it likes.
    if (board->runs.contains(report.key)) return;
    report.outcome = "exited";
    report.exit_code = 0;
    report.duration_seconds = chance(50) ? -1 : 1e300;
    report.age_seconds = 1e300;
    Effects effects;
    if (chance(50))
        jobs_->on_ended(moment(), board->session, report, "lies", effects);
    else
        jobs_->on_started(moment(), board->session, {report.key});
    if (chance(30)) jobs_->on_retracted(moment(), board->session, {report.key}, effects);
    apply(std::move(effects));
}

void RandomWorld::forget() {
    auto* job = some_job(true);
    if (job == nullptr) return;
    const auto id = job->status.id;
    must(jobs_->forget(id), "an ended job is not forgotten");
    stored_.erase(id);
    std::erase_if(results_, [&](const auto& result) { return result.first.first == id; });
    std::erase_if(tasks_, [&](const auto& task) { return task.first.first == id; });
}

void RandomWorld::pass(Duration time) {
    for (Duration done{}; done < time; done += 250ms) {
        now_ += 250ms;
        Effects effects;
        for (auto& [id, board] : boards_)
            if (board.session != 0) {
                board.heard = now_;
                cluster_->on_heard(now_, board.session, effects);
            }
        cluster_->on_tick(now_, effects);
        jobs_->on_tick(moment(), effects);
        end_leases();
        apply(std::move(effects));
        look_at_all();
    }
}

void RandomWorld::settle() {
    last = "settle";
    for (auto& [id, board] : boards_) {
        if (board.session == 0) connect(board);
        if (!board.resynced) resync(board, false);
        Effects effects;
        cluster_->set_draining(id, false, effects);
        jobs_->on_drain(*cluster_->find(id), std::nullopt, effects);
        apply(std::move(effects));
    }
    for (int round = 0; round < 3000; ++round) {
        bool over = true;
        Effects effects;
        for (const auto& [id, board] : boards_) cluster_->quarantine(id, "", effects);
        for (const auto& [id, job] : jobs_->all()) {
            over = over && job->ended();
            jobs_->hold(moment(), *job, false, effects);
        }
        apply(std::move(effects));
        if (over) return;
        work();
        for (auto& [id, board] : boards_) {
            deliver(board);
            std::vector<AttemptKey> keys;
            for (const auto& [key, run] : board.runs)
                if (run.state == "running") keys.push_back(key);
            for (const auto& key : keys) {
                const auto killed = board.runs.at(key).killed;
                end_run(board, key, killed.empty() ? "exited" : killed, 0);
            }
        }
        pass(250ms);
    }
    std::string stuck;
    for (const auto& [id, job] : jobs_->all())
        if (!job->ended())
            stuck += " job " + std::to_string(id) + " is " + job->state_text() + ", " +
                     jobs_->explain(moment(), *job).reason + ";";
    throw Broken("jobs never end:" + stuck);
}

// -------------------------------------------------------------------------------- the master's
// side

void RandomWorld::apply(Effects effects) {
    for (auto& effect : effects) {
        if (auto* node = std::get_if<SaveNode>(&effect)) {
            nodes_[node->record->id] = *node->record;
        } else if (auto* gone = std::get_if<ForgetNode>(&effect)) {
            nodes_.erase(gone->id);
        } else if (auto* job = std::get_if<SaveJob>(&effect)) {
            must(!stored_.contains(job->status.id), "a job's id is used twice");
            stored_[job->status.id] = {job->status, job->spec};
            next_job_ = job->status.id + 1;
        } else if (auto* status = std::get_if<SaveJobStatus>(&effect)) {
            stored_.at(status->status.id).first = status->status;
        } else if (auto* task = std::get_if<SaveTask>(&effect)) {
            must(task->record.live.size() <= limits::live_attempts, "too many live attempts");
            tasks_[{task->record.job, task->record.position}] = task->record;
        } else if (auto* dropped = std::get_if<ForgetTask>(&effect)) {
            tasks_.erase({dropped->job, dropped->position});
        } else if (auto* saved = std::get_if<SaveResult>(&effect)) {
            const TaskId id{saved->result.job, saved->result.position};
            must(!results_.contains(id) || may_end_again_.contains(id),
                 words(id.first, id.second) + " has two results");
            must(saved->started_ago_seconds < 1e11, "a time that makes no sense is recorded");
            may_end_again_.erase(id);
            results_[id] = saved->result;
        } else if (auto* start = std::get_if<OrderStart>(&effect)) {
            const auto number = start->order.attempt;
            must(ordered_.insert({start->job, start->position, number}).second,
                 words(start->job, start->position) + ": attempt " + std::to_string(number) +
                     " is given twice");
            const auto recorded = tasks_.find({start->job, start->position});
            must(recorded != tasks_.end() && !recorded->second.live.empty() &&
                     recorded->second.live.back().number == number,
                 "a start is ordered that is not on disk");
            send(start->session, effect);
        } else if (auto* stop = std::get_if<OrderStop>(&effect)) {
            send(stop->session, effect);
        } else if (auto* ack = std::get_if<OrderAck>(&effect)) {
            send(ack->session, effect);
        } else if (auto* close = std::get_if<CloseSession>(&effect)) {
            for (auto& [id, board] : boards_)
                if (board.session == close->session) disconnect(board);
        }
    }
}

void RandomWorld::send(SessionId session, Effect effect) {
    for (auto& [id, board] : boards_)
        if (board.session == session && session != 0) board.orders.push_back(std::move(effect));
}

void RandomWorld::restart(bool new_epoch) {
    for (auto& [id, board] : boards_) {
        board.session = 0;
        board.resynced = false;
        board.orders.clear();
    }
    const auto before_cluster = std::move(cluster_);
    const auto before = std::move(jobs_);
    if (new_epoch) ++epoch_;
    cluster_ = std::make_unique<Cluster>(timers, now_);
    jobs_ = std::make_unique<Jobs>(
        *cluster_, Jobs::Start{now_, epoch_, next_job_, limits::lost_after_master_start});
    for (const auto& [id, record] : nodes_) cluster_->restore(record);
    for (const auto& [id, job] : stored_) {
        std::vector<TaskState> states;
        std::int64_t highest = 0;
        if (!job.first.ended) states = stored_states(job.first, &highest);
        jobs_->restore(job.first, job.second, states, highest);
    }
    for (const auto& [id, task] : tasks_) jobs_->restore(task);
    cluster_->set_listener(jobs_.get());
    Effects effects;
    jobs_->restored(moment(), effects);
    apply(std::move(effects));
    compare(*before);
}

/// As the store knows them; those of an ended job as its desk reads them for a retry.
std::vector<TaskState> RandomWorld::stored_states(const JobStatus& status,
                                                  std::int64_t* highest) const {
    std::vector<TaskState> states;
    for (Position position = 0; position < status.size; ++position) {
        const auto found = results_.find({status.id, position});
        if (found == results_.end()) continue;
        const auto& result = found->second;
        const auto state = *task_state(result.state);
        const bool left = status.ended && !stands(status, state, result.round);
        states.resize(static_cast<std::size_t>(position),
                      status.ended ? TaskState::cancelled : state_without_result(status));
        states.push_back(left ? TaskState::cancelled
                              : state_after_result(status, state, result.round));
        if (highest != nullptr) *highest = std::max(*highest, found->second.attempt);
    }
    return states;
}

RandomWorld::Board* RandomWorld::some_board(bool connected) {
    std::vector<Board*> those;
    for (auto& [id, board] : boards_)
        if ((board.session != 0) == connected) those.push_back(&board);
    if (those.empty()) return nullptr;
    return those[static_cast<std::size_t>(pick(0, static_cast<std::int64_t>(those.size()) - 1))];
}

Job* RandomWorld::some_job(bool ended) {
    std::vector<Job*> those;
    for (const auto& [id, job] : jobs_->all())
        if (job->ended() == ended) those.push_back(job.get());
    if (those.empty()) return nullptr;
    return those[static_cast<std::size_t>(pick(0, static_cast<std::int64_t>(those.size()) - 1))];
}

// ------------------------------------------------------------------------- what must always hold

void RandomWorld::look_at_all() const {
    for (const auto& [id, job] : jobs_->all())
        if (!job->ended()) look(*job);
    for (const auto& [id, worker] : jobs_->workers()) look(worker);
    std::map<TaskId, int> running;
    for (const auto& [id, board] : boards_)
        for (const auto& [key, run] : board.runs) {
            if (run.state != "running" || run.stop_after == 0) continue;
            must(++running[{key.job, key.task}] == 1,
                 "two attempts of " + words(key.job, key.task) + " run under `stop`");
        }
}

void RandomWorld::look(const Job& job) const {
    const auto name = "job " + std::to_string(job.status.id);
    must(!job.all_ended(), name + " is over and has not ended");
    std::int64_t live = 0;
    std::int64_t counted = 0;
    std::int64_t waiting = 0;
    std::set<std::string> nodes;
    for (Position position = 0; position < job.status.size; ++position) look(job, position);
    for (const auto& [position, task] : job.active) {
        waiting += task.waits_on_node();
        for (const auto& attempt : task.live) {
            live += !attempt.detached || job.stops;
            if (!attempt.detached && !attempt.ahead) nodes.insert(attempt.node);
        }
        must(task.live.size() <= limits::live_attempts, name + " has too many live attempts");
    }
    must(live == job.live_attempts(), name + " counts its live attempts wrongly");
    must(waiting == job.waiting_on_nodes(), name + " counts wrongly what waits on nodes");
    must(static_cast<std::int64_t>(nodes.size()) == job.nodes(), name + " counts nodes wrongly");
    for (const auto state : {TaskState::queued, TaskState::running, TaskState::done,
                             TaskState::failed, TaskState::cancelled})
        counted += job.count(state);
    must(counted == job.status.size, name + " counts its tasks wrongly");
    const bool at_limit = job.status.task_limit > 0 && live >= job.status.task_limit;
    const bool ready = !job.status.held && !job.status.cancelled && job.waits_for == 0 &&
                       !at_limit && !job.rests_until && job.has_waiting();
    must(ready == job.in_queue, name + (ready ? " is in no queue" : " is in a queue"));
}

void RandomWorld::look(const Job& job, Position position) const {
    const auto name = words(job.status.id, position);
    const auto found = job.active.find(position);
    const bool active = found != job.active.end();
    const bool queued = job.requeued().contains(position) || position >= job.frontier();
    const auto state = job.state(position);
    bool known = false;  // whether a node may still have it
    must(active == tasks_.contains({job.status.id, position}), name + " is not on disk as it is");
    if (active)
        for (const auto& attempt : found->second.live) {
            known = known || !attempt.detached || job.stops;
            const auto* worker = jobs_->worker(attempt.node);
            const Worker::AttemptId id{job.status.id, position, attempt.number};
            must(attempt.detached || (worker != nullptr && worker->attempts.contains(id)),
                 name + ": nobody waits for its attempt " + std::to_string(attempt.number));
            must(!attempt.detached || worker == nullptr || worker->detached.contains(id),
                 name + ": its lost attempt " + std::to_string(attempt.number) + " is forgotten");
        }
    if (state == TaskState::queued) {
        const bool delayed = active && found->second.waiting && found->second.not_before > now_;
        must(queued || delayed, name + " is queued, but nowhere");
        must(!known, name + " is queued and runs");
    } else if (state == TaskState::running) {
        must(active && known && !found->second.waiting, name + " runs nowhere");
        must(!queued, name + " runs and is queued");
    } else {
        must(!active, name + " has ended and is active");
        const auto result = results_.find({job.status.id, position});
        const bool has =
            result != results_.end() &&
            stands(job.status, *task_state(result->second.state), result->second.round);
        must(has ? result->second.state == state_name(state) : state == TaskState::cancelled,
             name + " has ended without its result");
    }
}

void RandomWorld::look(const Worker& worker) const {
    std::int64_t milli = 0;
    std::int64_t retracting = 0;
    std::size_t ahead = 0;
    for (const auto& [id, held] : worker.attempts) {
        retracting += held.retracting;
        ahead += held.ahead;
        if (!held.ahead) milli += held.needs.cpus_milli;
    }
    const auto& name = worker.node->record.name;
    must(milli == worker.used.cpus_milli, "the books of " + name + " are wrong");
    must(milli <= worker.cpus_milli(), name + " has more work than room");
    must(ahead == worker.ahead.size(), name + " counts wrongly what waits there");
    must(retracting == worker.retracting, name + " counts wrongly what it is to give back");
}

/// What a restart must not change. One thing it does: a task that waits although it may still run
/// on a lost node is left there until that node is lost anew.
void RandomWorld::compare(const Jobs& before) const {
    must(before.all().size() == jobs_->all().size(), "a restart changes which jobs there are");
    for (const auto& [id, old] : before.all()) {
        const auto& job = *jobs_->find(id);
        const auto name = "job " + std::to_string(id);
        must(old->ended() == job.ended(), "a restart changes whether there is an end of " + name);
        must(old->status.cancelled == job.status.cancelled && old->status.held == job.status.held &&
                 old->status.priority == job.status.priority,
             "a restart changes what users said about " + name);
        for (const auto state : {TaskState::done, TaskState::failed, TaskState::cancelled})
            must(old->count(state) == job.count(state),
                 "a restart changes how tasks of " + name + " have ended");
        if (job.ended()) continue;
        must(old->waits_for == job.waits_for, "a restart changes what " + name + " waits for");
        for (Position position = 0; position < job.status.size; ++position) {
            const auto was = old->active.find(position);
            const auto is = job.active.find(position);
            const bool lived = was != old->active.end() && !was->second.live.empty();
            const bool lives = is != job.active.end() && !is->second.live.empty();
            must(lived == lives, "a restart changes whether " + words(id, position) + " runs");
            must(lives || old->state(position) == job.state(position),
                 "a restart changes the state of " + words(id, position));
            if (!lived) continue;
            const auto& a = was->second;
            const auto& b = is->second;
            must(a.failures == b.failures && a.deaths == b.deaths && a.cancelled == b.cancelled &&
                     a.last_attempt <= b.last_attempt,
                 "a restart changes what is known of " + words(id, position));
            must(std::equal(a.live.begin(), a.live.end(), b.live.begin(), b.live.end(),
                            [](const Attempt& x, const Attempt& y) {
                                return x.number == y.number && x.node == y.node;
                            }),
                 "a restart changes the attempts of " + words(id, position));
        }
    }
}

}  // namespace rpic::test
