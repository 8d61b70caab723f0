#include "test/sim/world.hpp"

namespace rpic::sim {

using namespace std::chrono_literals;

namespace {

/// In peace every job has to end within this time.
constexpr Duration patience = 30min;

/// A task that the master does not want any more may go on for so long: the time to tell the node,
/// and the grace before KILL.
constexpr Duration orphan_time = 20s;

enum Fault {
    kill_slave,
    kill_runner,
    power_cut,
    partition,
    switch_off,  // of the network: a partition of all
    slowness,
    late_answers,
    reset,
    master_killed,
    master_killed_in_commit,
    master_power_cut,
    master_disk_full,
    master_disk_broken,
    fault_kinds
};

}  // namespace

World::World(std::uint64_t seed, Policy policy, bool traced)
    : stage_(seed), master_(stage_), users_(stage_, master_, policy) {
    stage_.trace.wanted = traced;
    stage_.network.on_up = [this](LinkId link, int board, Up& message) {
        master_.on_up(link, board, message);
    };
    stage_.network.on_down = [this](LinkId link, int board, Down& message) {
        boards_[static_cast<std::size_t>(board)].on_down(link, message);
    };
    stage_.store.on_result = [this](const TaskResult& result, const std::string& output) {
        stage_.audit.result_recorded(result, output);
    };
    stage_.store.on_task = [this](const TaskRecord& record) { stage_.audit.task_recorded(record); };
    stage_.store.on_job = [this](const JobStatus& status, const JobSpec& spec) {
        stage_.audit.job_recorded(status, spec);
    };
    master_.on_death = [this] {
        auto& random = stage_.random;
        const bool long_time = random.chance(15);
        const auto time = long_time ? random.between(20s, 110s) : random.between(100ms, 8s);
        stage_.timeline.after(time, [this] {
            if (!master_.up()) master_.start();
        });
    };
    users_.on_removed = [this](const std::string& name) { want_back(name); };
    const auto count = stage_.random.pick(2, 4);
    for (int index = 0; index < count; ++index) boards_.emplace_back(stage_, index, seed);
}

Outcome World::run() {
    Outcome outcome;
    try {
        master_.start();
        for (auto& board : boards_) board.power_on();
        peace_ = stage_.random.between(40s, 240s);
        if (stage_.random.chance(40)) plan_siege();
        if (stage_.random.chance(40)) plan_bad_start();
        if (stage_.random.chance(20)) plan_restore();
        plan_users();
        plan_faults();
        stage_.timeline.at(peace_, [this] { make_peace(); });
        look_for_orphans();
        while (stage_.now() < peace_ + patience && !all_is_over()) stage_.timeline.step();
        if (!all_is_over()) give_up();
        stage_.audit.all_is_over();
    } catch (const Violation& violation) {
        outcome.kind = violation.kind;
        outcome.violation = violation.what();
    } catch (const std::exception& error) {
        outcome.kind = Kind::crashed;
        outcome.violation = error.what();
    }
    if (outcome.kind) stage_.trace.line("WRONG", outcome.violation);
    stage_.trace.line("world", "had", stage_.troubles.text());
    outcome.trace = std::move(stage_.trace.text);
    outcome.jobs = users_.submits();
    outcome.attempts = stage_.audit.attempts_started();
    outcome.faults = faults_;
    outcome.troubles = stage_.troubles;
    outcome.passed = stage_.now();
    return outcome;
}

/// A long task or two, and nodes that lose the master for about as long as leases last.
void World::plan_siege() {
    auto& random = stage_.random;
    peace_ = std::max<Duration>(peace_, 240s);
    for (auto count = random.pick(1, 2); count > 0; --count)
        stage_.timeline.at(random.between(5s, 12s), [this] { users_.submit_something(true); });
    for (auto count = random.pick(1, 2); count > 0; --count)
        stage_.timeline.at(random.between(15s, 60s), [this] {
            auto& board = busy_board();
            ++faults_;
            if (stage_.random.chance(50)) return answer_late(board);
            stage_.trace.line(board.facts().name, "is cut off");
            const bool leases_end = stage_.random.chance(60);
            cut(board, true, true,
                leases_end ? stage_.random.between(70s, 160s) : stage_.random.between(22s, 60s));
        });
}

/// Boards that join over a line that loses much, with slaves that are started again and again.
void World::plan_bad_start() {
    auto& random = stage_.random;
    const auto time = random.between(15s, 40s);
    for (auto& board : boards_) {
        const auto index = board.facts().index;
        if (!random.chance(70)) continue;
        stage_.network.make_lossy(index, true);
        stage_.timeline.after(time, [this, index] { stage_.network.make_lossy(index, false); });
        for (auto count = random.pick(2, 5); count > 0; --count)
            stage_.timeline.after(random.between(1s, time), [this, &board] {
                ++faults_;
                board.kill_slave();
                stage_.timeline.after(stage_.random.between(20ms, 500ms),
                                      [&board] { board.start_slave(); });
            });
        for (auto count = random.pick(2, 6); count > 0; --count)
            stage_.timeline.after(random.between(1s, time), [this, index] {
                const auto links = stage_.network.links_of(index);
                if (links.empty()) return;
                ++faults_;
                stage_.network.reset(links.back());
            });
    }
}

/// A backup, and later the master's machine is replaced by one that was restored from it.
void World::plan_restore() {
    users_.bring_files();
    const auto when = stage_.random.between(peace_ / 3, peace_ * 9 / 10);
    stage_.timeline.at(stage_.random.between(5s, when), [this] {
        stage_.trace.line("user", "makes a backup");
        backup_ = stage_.store.contents();
    });
    stage_.timeline.at(when, [this] { restore_before(stage_.now() + 40s); });
}

/// Files that are with the master, while it does not have the report that they belong to yet.
bool World::files_wait() {
    for (auto& board : boards_) {
        if (board.slave() == nullptr) continue;
        const auto& attempts = board.slave()->attempts();
        for (const auto& state : attempts.states())
            if (state.state == "ended" && !attempts.find(state.key)->report.files.empty())
                return true;
    }
    return false;
}

/// At the worst moment, if there is one until then.
void World::restore_before(Duration latest) {
    if (files_wait() || !stage_.faults || stage_.now() >= latest) return restore();
    stage_.timeline.after(5ms, [this, latest] { restore_before(latest); });
}

void World::restore() {
    if (!backup_) return;
    ++faults_;
    if (master_.up()) master_.die(Master::Death::killed);
    stage_.trace.line("user", "restores the backup");
    stage_.troubles.count(Trouble::master_restored);
    const auto keys = stage_.store.contents().keys;
    stage_.store.restore(std::move(*backup_));
    backup_.reset();
    stage_.audit.restored(keys);
}

/// What was removed joins again now and then, as the same board.
void World::want_back(const std::string& name) {
    for (auto& board : boards_)
        if (board.facts().name == name && stage_.random.chance(60))
            stage_.timeline.after(stage_.random.between(100ms, 60s), [&board] { board.rejoin(); });
}

void World::plan_users() {
    auto& random = stage_.random;
    for (auto count = random.pick(3, 8); count > 0; --count)
        stage_.timeline.at(random.between(1s, peace_ * 3 / 4),
                           [this] { users_.submit_something(); });
    for (auto count = random.pick(0, 6); count > 0; --count)
        stage_.timeline.at(random.between(5s, peace_), [this] { users_.change_something(); });
}

/// Each world has its own few kinds of trouble, so that some of them come in crowds.
void World::plan_faults() {
    auto& random = stage_.random;
    std::vector<int> kinds;
    for (int kind = 0; kind < fault_kinds; ++kind)
        if (random.chance(45)) kinds.push_back(kind);
    if (kinds.empty()) return;
    for (auto count = random.pick(2, 14); count > 0; --count) {
        const auto kind =
            kinds[static_cast<std::size_t>(random.pick(0, static_cast<int>(kinds.size()) - 1))];
        stage_.timeline.at(random.between(2s, peace_), [this, kind] {
            if (stage_.faults) fault(kind);
        });
    }
}

/// One that has something to do, if there is any.
Board& World::busy_board() {
    std::vector<Board*> busy;
    for (auto& board : boards_)
        if (board.slave() != nullptr && board.slave()->attempts().size() > 0)
            busy.push_back(&board);
    if (busy.empty()) return some_board();
    const auto last = static_cast<std::int64_t>(busy.size()) - 1;
    return *busy[static_cast<std::size_t>(stage_.random.pick(0, last))];
}

Board& World::some_board() {
    return boards_[static_cast<std::size_t>(
        stage_.random.pick(0, static_cast<std::int64_t>(boards_.size()) - 1))];
}

// ------------------------------------------------------------------------------------------ faults

void World::fault(int kind) {
    auto& random = stage_.random;
    auto& board = some_board();
    ++faults_;
    switch (kind) {
        case kill_slave:
            board.kill_slave();
            stage_.timeline.after(
                random.chance(80) ? random.between(50ms, 2s) : random.between(5s, 60s),
                [&board] { board.start_slave(); });
            break;
        case kill_runner:
            board.kill_runner();
            break;
        case power_cut:
            cut_power_before(board, stage_.now() + (random.chance(60) ? 30s : 0s));
            break;
        case partition:
            cut_off(board);
            break;
        case switch_off:
            for (auto& each : boards_) cut_off(each);
            break;
        case slowness:
            stage_.trace.line(board.facts().name, "everything to and from it is slow");
            make_slow(board, random.between(50ms, 6s), random.between(50ms, 6s),
                      random.between(1s, 30s));
            break;
        case late_answers:
            answer_late(board);
            break;
        case reset:
            for (const auto link : stage_.network.links_of(board.facts().index))
                stage_.network.reset(link);
            break;
        default:
            master_dies(kind);
    }
}

/// While its disk holds something that is not synced, if it does until then.
void World::cut_power_before(Board& board, Duration latest) {
    if (board.powered() && !board.unsynced() && stage_.faults && stage_.now() < latest) {
        stage_.timeline.after(10ms, [this, &board, latest] { cut_power_before(board, latest); });
        return;
    }
    if (!stage_.faults) return;
    board.power_off();
    stage_.timeline.after(stage_.random.between(500ms, 60s), [&board] { board.power_on(); });
}

void World::make_slow(Board& board, Duration up, Duration down, Duration time) {
    const int index = board.facts().index;
    stage_.network.slow_down(index, up, down);
    stage_.timeline.after(time, [this, index] { stage_.network.slow_down(index, {}, {}); });
}

/// The node goes on to hear for a while from a master that does not hear it any more.
void World::answer_late(Board& board) {
    auto& random = stage_.random;
    stage_.trace.line(board.facts().name, "hears everything late");
    // In two steps: at once it would be so silent that the slave connects anew.
    make_slow(board, {}, random.between(6s, 8s), 9s);
    const auto time = random.between(20s, 30s);
    const auto delay = random.between(12s, 14s);
    stage_.timeline.after(9s, [this, &board, delay, time] {
        if (stage_.faults) make_slow(board, {}, delay, time);
    });
    stage_.timeline.after(9s + time, [this, &board] {
        if (!stage_.faults) return;
        stage_.trace.line(board.facts().name, "is not heard any more");
        cut(board, true, false, stage_.random.between(80s, 140s));
    });
}

void World::cut_off(Board& board) {
    auto& random = stage_.random;
    const auto which = random.pick(1, 4);
    stage_.trace.line(board.facts().name, which == 1   ? "is not heard any more"
                                          : which == 2 ? "hears nothing any more"
                                                       : "is cut off");
    const auto length = random.pick(1, 10);
    const auto time = length <= 3   ? random.between(100ms, 18s)
                      : length <= 7 ? random.between(18s, 50s)
                                    : random.between(50s, 160s);
    cut(board, which != 2, which != 1, time);
}

void World::cut(Board& board, bool up, bool down, Duration time) {
    const int index = board.facts().index;
    stage_.network.cut(index, up, down);
    stage_.timeline.after(time, [this, index, &board] {
        if (!stage_.network.is_cut(index)) return;
        stage_.trace.line(board.facts().name, "can be reached again");
        stage_.network.heal(index);
    });
}

void World::master_dies(int kind) {
    if (!master_.up()) return;
    if (kind == master_disk_full || kind == master_disk_broken) {
        master_.fail_next_commit(kind == master_disk_full ? Master::Death::disk_full
                                                          : Master::Death::disk_broken);
    } else if (kind == master_killed_in_commit) {
        master_.die_in_next_commit();
    } else {
        master_.die(kind == master_power_cut ? Master::Death::no_power : Master::Death::killed);
    }
}

void World::make_peace() {
    stage_.trace.line("world", "no faults from now on");
    stage_.faults = false;
    master_.no_more_faults();
    for (auto& board : boards_) {
        stage_.network.heal(board.facts().index);
        stage_.network.slow_down(board.facts().index, {}, {});
        stage_.network.make_lossy(board.facts().index, false);
        board.power_on();
    }
    if (!master_.up()) master_.start();
    for (int round = 0; round < 360; ++round)
        stage_.timeline.after(3s + 5s * round, [this] {
            if (!master_.up()) master_.start();
            for (auto& board : boards_) {
                board.start_slave();
                if (board.slave() != nullptr && board.slave()->refused()) board.rejoin();
            }
            users_.let_all_go_on();
        });
}

// ------------------------------------------------------------------------------------------- looks

bool World::all_is_over() {
    if (stage_.faults || !users_.all_acknowledged()) return false;
    for (const auto& [id, entry] : stage_.store.jobs())
        if (!entry.status.ended) return false;
    // What a node holds that no board is any more, after a restore, waits until a user removes it.
    const auto somebody_is = [this](const std::string& node) {
        const auto& keys = stage_.store.contents().keys;
        return stage_.audit.restores() == 0 ||
               std::any_of(boards_.begin(), boards_.end(), [&](const auto& board) {
                   const auto key = keys.find(board.node_key());
                   return key != keys.end() && key->second.node_id == node;
               });
    };
    if (!master_.settled() || !Audit::books_are_empty(*master_.jobs(), somebody_is)) return false;
    for (const auto& board : boards_)
        if (!board.empty()) return false;
    return true;
}

void World::give_up() {
    for (const auto& [id, entry] : stage_.store.jobs())
        if (!entry.status.ended)
            throw Violation(Kind::stuck, "job " + std::to_string(id) + " never ends");
    if (!users_.all_acknowledged()) throw Violation(Kind::stuck, "a submit is never answered");
    for (const auto& board : boards_)
        if (!board.empty()) throw Violation(Kind::left_behind, board.what_is_left());
    throw Violation(Kind::left_behind, "the master's books are never empty");
}

/// A process that the master does not want ends soon, as long as nothing keeps the two apart.
void World::look_for_orphans() {
    std::map<AttemptKey, Duration> unwanted;
    for (auto& board : boards_) {
        const auto calm = board.calm_since();
        if (calm == Duration::max() || !master_.up()) continue;
        const auto id = master_.node_of_key(board.node_key());
        for (const auto& key : board.processes()) {
            if (master_.wants(id, key)) continue;
            const auto known = unwanted_since_.find(key);
            const auto since = known == unwanted_since_.end() ? stage_.now() : known->second;
            unwanted[key] = since;
            if (stage_.now() - std::max(since, calm) > orphan_time)
                throw Violation(Kind::left_behind, name_of(key) + " goes on on " +
                                                       board.facts().name +
                                                       ", though the master does not want it");
        }
    }
    unwanted_since_ = std::move(unwanted);
    stage_.timeline.after(2s, [this] { look_for_orphans(); });
}

}  // namespace rpic::sim
