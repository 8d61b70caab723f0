#include "test/sim/master.hpp"

#include "common/limits.hpp"
#include "test/sim/bugs.hpp"

namespace rpic::sim {

using namespace std::chrono_literals;

namespace {

constexpr Cluster::Timers timers{limits::suspect_after, limits::lost_after,
                                 limits::lost_after_master_start};
constexpr Duration tick_step = 250ms;

}  // namespace

Master::Program::Program(Instant now, const StoreContents& contents)
    : cluster(timers, now),
      jobs(cluster, {now, contents.epoch, contents.next_job, limits::lost_after_master_start}),
      epoch(contents.epoch),
      last_turn(now) {
    for (const auto& record : contents.keys) keys[record.identity] = record;
}

Master::Master(Stage& stage) : stage_(stage) {
    clock_.rate = stage.clock_rate();
}

Moment Master::moment() const {
    const auto at = now();
    return {at, at.time_since_epoch() / 1ms};
}

/// In this life of the program alone.
void Master::after(Duration wait, std::function<void()> action) {
    stage_.timeline.after(wait, [this, life = life_, act = std::move(action)] {
        if (life == life_ && up()) act();
    });
}

// ---------------------------------------------------------------------------------- life and death

void Master::start() {
    ++life_;
    stage_.network.set_master_power(true);
    stage_.audit.master_started();
    auto contents = stage_.store.load();
    program_ = std::make_unique<Program>(now(), contents);
    stage_.trace.line("master", "starts: ", contents.jobs.size(), " jobs, ", contents.nodes.size(),
                      " nodes");
    Effects effects;
    take_up(contents, program_->cluster, program_->jobs, moment(), effects);
    take(std::move(effects));
    settle([this] { program_->listens = true; });
    tick();
}

void Master::die(Death how) {
    if (!up()) return;
    const bool silently = how == Death::no_power;
    stage_.trace.line("master", how == Death::killed      ? "is killed"
                                : how == Death::no_power  ? "loses its power"
                                : how == Death::disk_full ? "ends: the disk takes nothing"
                                                          : "ends: the disk is broken");
    stage_.troubles.count(how == Death::killed      ? Trouble::master_killed
                          : how == Death::no_power  ? Trouble::master_power_cut
                          : how == Death::disk_full ? Trouble::master_disk_full
                                                    : Trouble::master_disk_broken);
    if (how != Death::disk_full) lose_tail();
    tail_.clear();
    program_.reset();
    ++life_;
    if (silently) stage_.network.set_master_power(false);
    stage_.network.close_master_ends("the master has ended", silently);
    if (silently) clock_.booted = stage_.now();  // its clock begins anew
    no_more_faults();
    on_death();
}

/// A batch whose commit nobody has seen the end of is there, or it is not.
void Master::lose_tail() {
    if (tail_.empty()) return;
    const bool there = stage_.random.chance(50);
    stage_.troubles.count(there ? Trouble::batch_kept : Trouble::batch_gone);
    stage_.trace.line("disk", there ? "has" : "has not", " the last batch of ", tail_.size());
    if (planted("torn_batch"))
        stage_.store.apply(tail_, tail_.size() / 2);
    else if (there)
        stage_.store.apply(tail_);
}

void Master::tick() {
    Effects effects;
    program_->cluster.on_tick(now(), effects);
    program_->jobs.on_tick(moment(), effects);
    take(std::move(effects));
    after(clock_.lasts(tick_step), [this] { tick(); });
}

// ------------------------------------------------------------------------------------------- turns

void Master::take(Effects effects) {
    for (auto& effect : effects) {
        if (const auto* gone = std::get_if<ForgetNode>(&effect)) {
            if (planted("removed_key_lives")) continue;
            for (const auto& identity : gone->key_identities) program_->keys.erase(identity);
        } else if (const auto* key = std::get_if<ForgetKey>(&effect)) {
            program_->keys.erase(key->key_identity);
        } else if (const auto* close = std::get_if<CloseSession>(&effect)) {
            const auto found = program_->sessions.find(close->session);
            if (found == program_->sessions.end()) continue;
            Refused refused;
            refused.code = close->code;
            refused.reason = close->reason;
            stage_.network.send_down(found->second.link, refused);
            after(0ms,
                  [this, id = close->session, reason = close->reason] { end_session(id, reason); });
        } else if (const auto* announce = std::get_if<Announce>(&effect)) {
            stage_.trace.line("master", announce->text);
        } else if (const auto* happened = std::get_if<Happened>(&effect)) {
            stage_.trace.line("master", happened->text);
            stage_.audit.told(*happened);
        } else if (auto* task = std::get_if<SaveTask>(&effect);
                   task != nullptr && stage_.trace.wanted) {
            std::string live;
            for (const auto& each : task->record.live)
                live += " #" + std::to_string(each.number) + "@" + each.node;
            stage_.trace.line("master", "task ", task->record.job, ".", task->record.position,
                              " lives:", live);
        } else if (const auto* result = std::get_if<SaveResult>(&effect)) {
            const auto& ended = result->result;
            stage_.trace.line("master", "task ", ended.job, ".", ended.position, " ", ended.state,
                              " #", ended.attempt, " ", ended.reason);
        }
        program_->turn.take(effect, program_->jobs, moment().wall_ms);
    }
    wake();
}

/// Called once all that was taken up so far is on disk and sent.
void Master::settle(std::function<void()> waiter) {
    program_->waiters.push_back(std::move(waiter));
    wake();
}

void Master::wake() {
    program_->more = true;
    if (program_->turning) return;
    program_->turning = true;
    after(20us, [this] { close_turn(); });
}

void Master::close_turn() {
    auto& program = *program_;
    // While nodes have tasks in store nobody notices when a turn ends.
    const Duration left = program.last_turn + limits::turn_gather - now();
    if (program.jobs.backlog() && left > 0ms)
        return after(std::min<Duration>(left, limits::turn_gather / 8), [this] { close_turn(); });
    program.last_turn = now();
    Effects effects;
    program.jobs.place(moment(), effects);
    for (const auto& effect : effects)
        if (const auto* start = std::get_if<OrderStart>(&effect); start && !start->order.ahead)
            stage_.audit.room_given(
                *program.jobs.worker(program.sessions.at(start->session).node_id),
                *program.jobs.find(start->job));
    take(std::move(effects));
    program.more = program.jobs.unfinished();
    auto turn = std::exchange(program.turn, {});
    read_items(turn);
    commit(std::move(turn), std::exchange(program.waiters, {}));
}

/// What the store's thread reads with a commit. An item that cannot be read fails its task.
void Master::read_items(Turn& turn) {
    for (std::size_t i = 0; i < turn.starts_with_items(); ++i) {
        auto& start = turn.start_of_item(i);
        const auto& wanted = turn.items[i];
        start.order.item = item_text(wanted.blob, wanted.position);
        if (!stage_.faults || !stage_.random.chance(2)) continue;
        stage_.troubles.count(Trouble::item_unreadable);
        AttemptReport report;
        report.key = AttemptKey{start.job, start.order.task, start.order.attempt};
        report.outcome = "cannot_execute";
        report.reason = "its item cannot be read";
        stage_.audit.ended(report, "");
        Effects effects;
        program_->jobs.on_ended(moment(), start.session, report, {}, effects);
        start.session = 0;
        take(std::move(effects));
    }
}

Duration Master::commit_time() {
    auto& random = stage_.random;
    if (random.chance(2)) return random.between(50ms, 900ms);  // the card is busy with itself
    return random.between(300us, 6ms);
}

void Master::commit(Turn turn, std::vector<std::function<void()>> waiters) {
    if (turn.empty()) return committed(turn, waiters);
    auto& program = *program_;
    if (planted("ack_before_sync")) turn.send(*this, program.cluster, program.jobs);
    if (planted("answer_before_sync"))
        for (const auto& waiter : std::exchange(waiters, {})) waiter();
    const auto time = commit_time();
    if (std::exchange(dies_in_commit_, false))
        after(LocalClock::scaled(time, stage_.random.share()), [this] { die(Death::killed); });
    const auto fails = std::exchange(disk_fails_, std::nullopt);
    tail_ = turn.batch;
    auto shared = std::make_shared<Turn>(std::move(turn));
    after(time, [this, shared, fails, waiting = std::move(waiters)] {
        if (fails && !(planted("broken_sync_trusted") && *fails == Death::disk_broken))
            return die(*fails);
        if (fails) tail_.resize(tail_.size() / 2);
        if (fails) shared->batch = tail_;
        tail_.clear();
        stage_.store.apply(shared->batch);
        if (!planted("ack_before_sync")) shared->send(*this, program_->cluster, program_->jobs);
        committed(*shared, waiting);
    });
}

void Master::committed(const Turn& turn, const std::vector<std::function<void()>>& waiters) {
    for (const auto& waiter : waiters) waiter();
    if (!turn.empty()) stage_.audit.look_at_books(program_->jobs);
    turn_over();
}

void Master::turn_over() {
    program_->turning = false;
    if (program_->more) wake();
}

// --------------------------------------------------------------------------------- what it sends

std::set<JobId>* Master::known_jobs(SessionId session) {
    const auto found = program_->sessions.find(session);
    return found == program_->sessions.end() ? nullptr : &found->second.known_jobs;
}

void Master::send(SessionId session, const Message& message) {
    const auto found = program_->sessions.find(session);
    if (found == program_->sessions.end()) return;
    const auto link = found->second.link;
    if (const auto* start = std::get_if<StartTasks>(&message)) {
        for (const auto& order : start->tasks)
            stage_.audit.start_ordered(found->second.node_id, start->job, order);
    } else if (const auto* ack = std::get_if<AckAttempts>(&message)) {
        for (const auto& key : ack->attempts) stage_.audit.forgetting_allowed(key, "acknowledged");
    } else if (const auto* resynced = std::get_if<Resynced>(&message)) {
        for (const auto& verdict : resynced->verdicts)
            if (verdict.verdict != "adopt")
                stage_.audit.forgetting_allowed(verdict.key, "verdict " + verdict.verdict);
    }
    std::visit([&](const auto& each) { stage_.network.send_down(link, each); }, message);
}

void Master::drop_job(JobId job) {
    DropJob message;
    message.job = job;
    for (auto& [id, session] : program_->sessions)
        if (session.known_jobs.erase(job) > 0) stage_.network.send_down(session.link, message);
}

}  // namespace rpic::sim
