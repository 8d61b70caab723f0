#include "common/limits.hpp"
#include "test/sim/bugs.hpp"
#include "test/sim/master.hpp"

/// What the master hears: nodes and clients.
namespace rpic::sim {

using namespace std::chrono_literals;

void Master::on_up(LinkId link, int board, Up& message) {
    if (!up()) return stage_.network.close_master_end(link, "the connection was refused");
    if (const auto* greeting = std::get_if<Greeting>(&message))
        return greet(link, board, *greeting);
    const auto found = program_->by_link.find(link);
    if (found == program_->by_link.end()) return;
    const auto id = found->second;
    if (const auto* closed = std::get_if<Closed>(&message)) return end_session(id, closed->reason);
    hear(id, program_->sessions.at(id), message);
}

void Master::greet(LinkId link, int board, const Greeting& greeting) {
    auto& program = *program_;
    const auto refuse = [&](const std::string& code, const std::string& reason) {
        Refused refused;
        refused.code = code;
        refused.reason = reason;
        stage_.network.send_down(link, refused);
        stage_.network.close_master_end(link, reason);
    };
    if (!program.listens) return stage_.network.close_master_end(link, "nobody listens");
    const auto known = node_of_key(greeting.key);
    if (!greeting.key.empty()) stage_.audit.key_shown(greeting.key, !known.empty());
    if (!greeting.key.empty() && known.empty()) return refuse("removed", "the key is unknown");
    const auto id = ++last_session_;
    auto& session = program.sessions[id];
    session.link = link;
    session.board = board;
    program.by_link[link] = id;
    const auto number = std::to_string(++last_fresh_);
    const Cluster::Fresh fresh{"id" + number, "key" + number};
    Effects effects;
    const auto outcome = program.cluster.on_hello(now(), id, {known, greeting.key}, greeting.hello,
                                                  "board " + std::to_string(board), fresh, effects);
    if (const auto* refusal = std::get_if<Cluster::Refusal>(&outcome)) {
        program.by_link.erase(link);
        program.sessions.erase(id);
        return refuse(refusal->code, refusal->reason);
    }
    const auto& joined = std::get<Cluster::Joined>(outcome);
    session.node_id = joined.node_id;
    take(std::move(effects));
    StoreBatch batch;
    std::string new_key;
    if (joined.with_new_key) {
        KeyRecord record;
        record.identity = record.key = new_key = fresh.key_identity;
        record.role = "node";
        record.node_id = joined.node_id;
        program.keys[record.identity] = record;
        batch.emplace_back(PutKey{record});
    }
    program.turn.record(std::move(batch));
    settle([this, id, joined, new_key] { welcome(id, joined, new_key); });
}

void Master::welcome(SessionId id, const Cluster::Joined& joined, const std::string& new_key) {
    const auto found = program_->sessions.find(id);
    if (found == program_->sessions.end()) return;
    found->second.talk.emplace(program_->cluster, program_->jobs, id);
    Welcome message;
    message.node_id = joined.node_id;
    message.name = joined.name;
    message.node_key = new_key;
    message.epoch = program_->epoch;
    stage_.network.send_down(found->second.link, message);
}

std::string Master::node_of_key(const std::string& key) const {
    const auto found = program_->keys.find(key);
    return found == program_->keys.end() ? "" : found->second.node_id;
}

bool Master::wants(const std::string& node_id, const AttemptKey& key) const {
    const auto* job = program_->jobs.find(key.job);
    const auto position = job == nullptr ? std::nullopt : job->position(key.task);
    if (!position) return false;
    const auto task = job->active.find(*position);
    if (task == job->active.end()) return false;
    for (const auto& attempt : task->second.live)
        if (attempt.number == key.attempt && attempt.node == node_id) return !attempt.stopping;
    return false;
}

void Master::hear(SessionId id, Session& session, Up& message) {
    auto& program = *program_;
    Effects effects;
    if (const auto* beat = std::get_if<Heartbeat>(&message)) {
        program.cluster.on_vitals(moment().at, id, beat->vitals, effects);
        HeartbeatAck answer;
        answer.sequence = beat->sequence;
        stage_.network.send_down(session.link, answer);
    } else if (std::holds_alternative<KeyStored>(message)) {
        program.cluster.on_key_stored(id, effects);
    } else if (session.talk) {
        auto& talk = *session.talk;
        if (const auto* page = std::get_if<Resync>(&message)) {
            auto answers = talk.on_resync(moment(), *page, effects);
            if (!answers.empty()) session.known_jobs.clear();
            for (auto& answer : answers) program.turn.answer(id, std::move(answer));
        } else if (const auto* started = std::get_if<AttemptsStarted>(&message)) {
            talk.on_started(moment(), *started);
        } else if (const auto* retracted = std::get_if<AttemptsRetracted>(&message)) {
            talk.on_retracted(moment(), *retracted, effects);
        } else if (const auto* reports = std::get_if<Reports>(&message)) {
            talk.on_ended(moment(), reports->message, reports->outputs, effects);
        }
    }
    program.cluster.on_heard(now(), id, effects);
    take(std::move(effects));
}

void Master::end_session(SessionId id, const std::string& reason) {
    const auto found = program_->sessions.find(id);
    if (found == program_->sessions.end()) return;
    stage_.network.close_master_end(found->second.link, reason);
    program_->by_link.erase(found->second.link);
    program_->sessions.erase(found);
    Effects effects;
    program_->cluster.on_disconnected(now(), id, reason, effects);
    take(std::move(effects));
}

// ---------------------------------------------------------------------------------------- clients

void Master::submit(const std::shared_ptr<const JobSpec>& spec, const SubmitReply& reply) {
    if (!up() || !program_->listens) return;
    Effects effects;
    const auto count = spec->env.find("ITEMS");
    const auto items = count == spec->env.end() ? 0 : std::stoll(count->second);
    const auto outcome = program_->jobs.submit(moment(), spec, "ann", items, effects);
    take(std::move(effects));
    if (std::holds_alternative<Jobs::Refusal>(outcome)) return reply(0);
    settle([reply, job = std::get<Jobs::Accepted>(outcome).job] { reply(job); });
}

void Master::change(const Change& change, const std::function<void(bool)>& reply) {
    if (!up() || !program_->listens) return;
    Effects effects;
    const bool done = change(program_->cluster, program_->jobs, moment(), effects);
    take(std::move(effects));
    settle([reply, done] { reply(done); });
}

}  // namespace rpic::sim
