#include "common/keys.hpp"
#include "common/limits.hpp"
#include "common/log.hpp"
#include "common/text.hpp"
#include "common/version.hpp"
#include "master/core/worker_talk.hpp"
#include "master/membership.hpp"
#include "master/peers.hpp"
#include "master/viewers.hpp"

namespace rpic {

namespace {

/// What a node may say.
class NodeVisitor {
  public:
    NodeVisitor(Context& context, Connection& connection, const Sessions::Place& place,
                const std::string& role)
        : context_(context),
          connection_(connection),
          place_(place),
          web_(role == "webserver"),
          worker_(role == "worker"),
          talk_(context.cluster, context.jobs, place.id()) {}

    /// What came behind the frame that is handled now.
    std::string_view raw;

    void operator()(const Heartbeat& beat) {
        ++context_.counters.heartbeats;
        Effects effects;
        context_.cluster.on_vitals(Clock::now(), place_.id(), beat.vitals, effects);
        if (!effects.empty()) context_.turns.add(std::move(effects));
        HeartbeatAck answer;
        answer.sequence = beat.sequence;
        connection_.send(answer);
    }

    void operator()(const KeyStored&) {
        Effects effects;
        context_.cluster.on_key_stored(place_.id(), effects);
        context_.turns.add(std::move(effects));
    }

    void operator()(const Resync& page) {
        if (!worker_) return forbid("resync", "worker");
        Effects effects;
        auto answers = talk_.on_resync(context_.moment(), page, effects);
        std::vector<AttemptKey> running;
        for (const auto& attempt : page.attempts)
            if (attempt.state == "running") running.push_back(attempt.key);
        note(note_started, running);
        if (!answers.empty()) place_.session().known_jobs.clear();
        // The answer is as much a promise as an order: what it says is on disk before.
        for (auto& answer : answers) context_.turns.answer(place_.id(), std::move(answer));
        context_.turns.add(std::move(effects));
    }

    void operator()(const AttemptsStarted& started) {
        if (!talk_.on_started(context_.moment(), started)) return too_early("attempts_started");
        note(note_started, started.attempts);
    }

    void operator()(const AttemptsRetracted& retracted) {
        Effects effects;
        if (!talk_.on_retracted(context_.moment(), retracted, effects))
            too_early("attempts_retracted");
        context_.turns.add(std::move(effects));
    }

    void operator()(const AttemptsEnded& ended) {
        if (talk_.resynced()) note(note_ended, ended.reports);
        Effects effects;
        if (!talk_.on_ended(context_.moment(), ended, raw, effects)) too_early("attempts_ended");
        context_.turns.add(std::move(effects));
    }

    void operator()(const PowerTaken& taken) {
        Effects effects;
        context_.cluster.on_power_taken(place_.id(), taken.action, effects);
        context_.turns.add(std::move(effects));
    }

    void operator()(const Bye& bye) {
        throw DisconnectionError("it said goodbye: " + printable(bye.reason, limits::text_chars));
    }

    void operator()(const Watch&) {
        if (!web_) return forbid("watch", "webserver");
        place_.session().watching = true;
        place_.session().complete = false;
        place_.session().shown = {};
    }

    void operator()(const CheckToken& check) {
        if (!web_) return forbid("check_token", "webserver");
        const auto* record =
            context_.keyring.find(key_identity(canonical_key(check.token)), wall_seconds());
        TokenChecked answer;
        answer.id = check.id;
        if (record != nullptr && role_allows(record->role, "viewer")) {
            answer.role = record->role;
            answer.name = record->name;
        }
        connection_.send(answer);
    }

  private:
    void forbid(std::string_view what, const std::string& role) {
        ++context_.counters.role_refused;
        answer_bad_message(context_, connection_,
                           std::string(what) + " is for nodes with the role " + role);
    }

    /// Shows viewers what this node says.
    template <class Note, class What>
    void note(Note take_note, const std::vector<What>& what) {
        if (const auto* node = context_.cluster.find_session(place_.id()))
            take_note(context_, *node, what);
    }

    void too_early(std::string_view what) {
        answer_bad_message(context_, connection_, std::string(what) + " before resync");
    }

    Context& context_;
    Connection& connection_;
    const Sessions::Place& place_;
    bool web_;
    bool worker_;
    WorkerTalk talk_;
};

void handle(Context& context, Connection& connection, const Frame& frame, NodeVisitor& visitor) {
    ParseArena arena;
    const auto envelope = open_envelope(frame.json, arena);
    try {
        visitor.raw = frame.raw;
        if (auto message = decode<FromNode>(envelope))
            std::visit(visitor, *message);
        else
            answer_bad_message(
                context, connection,
                "unknown type \"" + printable(envelope.type, limits::log_text_chars) + "\"");
    } catch (const BadMessageError& error) {
        answer_bad_message(context, connection, error.what());
    }
}

/// Takes the node in and welcomes it, once everything that the welcome promises is on disk.
asio::awaitable<void> join(Context& context, Connection& connection, SessionId session,
                           const KeyRecord& key, std::unique_ptr<Hello> hello) {
    StoreBatch batch;
    Effects effects;
    Cluster::Fresh fresh;
    fresh.node_id = random_hex(16);
    const auto new_key = make_key();
    fresh.key_identity = key_identity(new_key);
    Cluster::KeyUsed used;  // nobody's, if that is the join key
    if (!key.node_id.empty()) used = {key.node_id, key.identity};
    const auto outcome = context.cluster.on_hello(Clock::now(), session, used, *hello,
                                                  connection.peer(), fresh, effects);
    if (const auto* refusal = std::get_if<Cluster::Refusal>(&outcome)) {
        ++context.counters.join_refused;
        const auto code = refusal->code;
        const auto reason = refusal->reason;
        co_await refuse(connection, code, reason);
    }
    const auto& joined = std::get<Cluster::Joined>(outcome);
    if (joined.clone) ++context.counters.clones;
    Welcome welcome;
    welcome.version = version;
    welcome.protocol = protocol_version;
    welcome.cluster = context.cluster_id;
    welcome.node_id = joined.node_id;
    welcome.name = joined.name;
    context.turns.add(std::move(effects));
    if (joined.with_new_key) {
        KeyRecord record;
        record.identity = fresh.key_identity;
        record.key = new_key;
        record.role = hello->role == "webserver" ? "web" : "node";
        record.node_id = joined.node_id;
        record.created_at = wall_seconds();
        context.keyring.add(record);
        batch.emplace_back(PutKey{record});
        welcome.node_key = new_key;
    }
    welcome.epoch = context.epoch;
    context.turns.record(std::move(batch));
    co_await context.turns.settled();
    connection.send(welcome);
}

}  // namespace

asio::awaitable<void> serve_node(Context& context, Connection& connection, KeyRecord key,
                                 std::unique_ptr<Hello> hello) {
    const std::string role = hello->role;
    const bool wants_web = role == "webserver";
    if (key.role != "join" && wants_web != (key.role == "web")) {
        ++context.counters.role_refused;
        const std::string reason =
            "this node's key is for another role: start it with --rejoin to join in its new one";
        co_await refuse(connection, "role", reason);
    }
    const Sessions::Place place(context.sessions, connection, true);
    Membership membership(context, place.id());
    connection.set_frame_limits(limits::control_frame_bytes, limits::chunk_bytes);
    try {
        co_await join(context, connection, place.id(), key, std::move(hello));
        NodeVisitor visitor(context, connection, place, role);
        for (;;) {
            Frame frame;
            while (connection.take_frame(frame)) handle(context, connection, frame, visitor);
            co_await connection.receive();
            Effects effects;
            context.cluster.on_heard(connection.last_heard(), place.id(), effects);
            if (!effects.empty()) context.turns.add(std::move(effects));
        }
    } catch (const std::exception& error) {
        membership.reason = error.what();
        throw;
    }
}

}  // namespace rpic
