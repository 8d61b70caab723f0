#include <algorithm>
#include <limits>

#include "test/unit/jobs_random_world.hpp"

/// What the nodes of a RandomWorld do.
namespace rpic::test {

using namespace std::chrono_literals;

std::int64_t RandomWorld::milli_of(const AttemptKey& key) const {
    const auto job = stored_.find(key.job);
    return job == stored_.end() ? 0 : static_cast<std::int64_t>(job->second.second->cpus * 1000);
}

std::int64_t RandomWorld::milli_in_use(const Board& board) const {
    std::int64_t milli = 0;
    for (const auto& [key, run] : board.runs)
        if (run.state == "running") milli += milli_of(key);
    return milli;
}

void RandomWorld::connect(Board& board) {
    board.session = ++last_session_;
    board.resynced = false;
    board.orders.clear();
    board.heard = now_;
    Hello hello;
    hello.role = "worker";
    hello.name = hello.fingerprint = board.name;
    hello.machine.arch = "amd64";
    hello.machine.cpu_cores = hello.cpus = board.cpus;
    hello.machine.ram_bytes = hello.memory_bytes = std::int64_t{1} << 30;
    Effects effects;
    const auto key = "key " + board.id;
    Cluster::KeyUsed used;
    if (nodes_.contains(board.id)) used = {board.id, key};
    cluster_->on_hello(now_, board.session, used, hello, "a:1", {board.id, key}, effects);
    // The connection that this one replaces is not the board's any more.
    apply(std::move(effects));
    if (chance(10)) return;  // it has not said yet what it has
    resync(board, chance(15));
}

void RandomWorld::resync(Board& board, bool lies) {
    std::vector<AttemptState> states;
    for (const auto& [key, run] : board.runs) states.push_back({key, run.state});
    if (lies) {
        const auto own = states;
        for (const auto& state : own)
            if (chance(50)) states.push_back({state.key, chance(50) ? "running" : state.state});
        for (const auto& [id, other] : boards_)
            for (const auto& [key, run] : other.runs)
                if (!board.runs.contains(key)) states.push_back({key, "running"});
        states.push_back({AttemptKey{1, std::numeric_limits<std::int64_t>::min(), 1}, "nonsense"});
    }
    Effects effects;
    const auto verdicts = jobs_->on_resync(moment(), board.session,
                                           *cluster_->find_session(board.session), states, effects);
    for (const auto& verdict : verdicts)
        if (verdict.verdict != "adopt") board.runs.erase(verdict.key);
    apply(std::move(effects));
    board.resynced = true;
    start_waiting(board);
    std::vector<AttemptKey> ended;
    for (const auto& [key, run] : board.runs)
        if (run.state == "ended") ended.push_back(key);
    for (const auto& key : ended) report(board, key);
}

void RandomWorld::disconnect(Board& board) {
    const auto session = board.session;
    board.session = 0;
    board.resynced = false;
    board.orders.clear();
    Effects effects;
    cluster_->on_disconnected(now_, session, "gone", effects);
    apply(std::move(effects));
}

void RandomWorld::deliver(Board& board) {
    while (!board.orders.empty()) {
        const auto effect = std::move(board.orders.front());
        board.orders.pop_front();
        if (const auto* start = std::get_if<OrderStart>(&effect))
            order(board, *start);
        else if (const auto* order = std::get_if<OrderStop>(&effect))
            stop(board, *order);
        else if (const auto* ack = std::get_if<OrderAck>(&effect))
            board.runs.erase(ack->attempt);
    }
    start_waiting(board);
}

void RandomWorld::order(Board& board, const OrderStart& start) {
    AttemptKey key;
    key.job = start.job;
    key.task = start.order.task;
    key.attempt = start.order.attempt;
    Run run;
    run.state = "waiting";
    if (const auto* job = jobs_->find(start.job))
        run.stop_after = node_job(*job, "amd64").stop_after_seconds;
    board.runs.emplace(key, run);
}

/// In the order of their keys, as far as there is room.
void RandomWorld::start_waiting(Board& board) {
    std::vector<AttemptKey> started;
    for (auto& [key, run] : board.runs) {
        if (run.state != "waiting" || milli_in_use(board) + milli_of(key) > board.cpus * 1000)
            continue;
        // The lease may have ended before it began.
        if (run.stop_after > 0 && to_seconds(now_ - board.heard) >= run.stop_after) continue;
        run.state = "running";
        started.push_back(key);
    }
    if (board.resynced && chance(70)) jobs_->on_started(moment(), board.session, started);
}

void RandomWorld::stop(Board& board, const OrderStop& stop) {
    const auto found = board.runs.find(stop.attempt);
    if (found == board.runs.end()) return;
    auto& run = found->second;
    if (stop.retract) {
        if (run.state != "waiting") return;
        board.runs.erase(found);
        Effects effects;
        jobs_->on_retracted(moment(), board.session, {stop.attempt}, effects);
        apply(std::move(effects));
    } else if (run.state == "waiting") {
        end_run(board, stop.attempt, "killed", 0);
    } else if (run.state == "running") {
        run.killed = "killed";
    }
}

void RandomWorld::end_run(Board& board, const AttemptKey& key, const std::string& outcome,
                          int code) {
    auto& run = board.runs.at(key);
    run.state = "ended";
    run.report.key = key;
    run.report.outcome = outcome;
    if (outcome == "exited") run.report.exit_code = code;
    run.report.duration_seconds = static_cast<double>(pick(0, 30)) / 10;
    if (board.resynced) report(board, key);
    start_waiting(board);
}

void RandomWorld::report(Board& board, const AttemptKey& key) {
    Effects effects;
    const auto told = board.runs.at(key).report;
    jobs_->on_ended(moment(), board.session, told, "", effects);
    // Some reports arrive twice.
    if (chance(5)) jobs_->on_ended(moment(), board.session, told, "", effects);
    apply(std::move(effects));
}

/// A node that does not hear from the master ends what must not run at two places.
void RandomWorld::end_leases() {
    for (auto& [id, board] : boards_) {
        std::vector<AttemptKey> over;
        for (const auto& [key, run] : board.runs)
            if (run.state == "running" && run.stop_after > 0 &&
                to_seconds(now_ - board.heard) >= run.stop_after)
                over.push_back(key);
        for (const auto& key : over) end_run(board, key, "lease", 0);
    }
}

}  // namespace rpic::test
