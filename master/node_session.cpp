#include "common/keys.hpp"
#include "common/limits.hpp"
#include "common/log.hpp"
#include "common/text.hpp"
#include "common/version.hpp"
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
          worker_(role == "worker") {}

    /// What came behind the frame that is handled now.
    std::string_view raw;

    void operator()(const Heartbeat& beat) {
        ++context_.counters.heartbeats;
        context_.cluster.on_vitals(place_.id(), beat.vitals);
        HeartbeatAck answer;
        answer.sequence = beat.sequence;
        connection_.send(answer);
    }

    void operator()(const KeyStored&) {
        Effects effects;
        context_.cluster.on_key_stored(place_.id(), effects);
        context_.turns.add(std::move(effects));
    }

    /// Pages of one list are taken together: the books are brought in line in one go.
    void operator()(Resync& page) {
        if (!worker_) return forbid("resync", "worker");
        if (attempts_.size() + page.attempts.size() > limits::attempts_of_node)
            throw DisconnectionError("it lists more than " +
                                     std::to_string(limits::attempts_of_node) + " attempts");
        for (auto& attempt : page.attempts) attempts_.push_back(std::move(attempt));
        if (page.more) return;
        const auto* node = context_.cluster.find_session(place_.id());
        if (node == nullptr) return;
        place_.session().known_jobs.clear();
        Effects effects;
        const auto verdicts =
            context_.jobs.on_resync(context_.moment(), place_.id(), *node, attempts_, effects);
        std::vector<AttemptKey> running;
        for (const auto& attempt : attempts_)
            if (attempt.state == "running") running.push_back(attempt.key);
        note_started(context_, *node, running);
        attempts_.clear();
        resynced_ = true;
        // The answer is as much a promise as an order: what it says is on disk before.
        constexpr std::size_t verdicts_per_frame = 300;
        std::size_t next = 0;
        do {
            Resynced answer;
            for (; next < verdicts.size() && answer.verdicts.size() < verdicts_per_frame; ++next)
                answer.verdicts.push_back(verdicts[next]);
            answer.more = next < verdicts.size();
            context_.turns.send(place_.id(), encode(answer));
        } while (next < verdicts.size());
        context_.turns.add(std::move(effects));
    }

    void operator()(const AttemptsStarted& started) {
        if (!resynced("attempts_started")) return;
        context_.jobs.on_started(context_.moment(), place_.id(), started.attempts);
        if (const auto* node = context_.cluster.find_session(place_.id()))
            note_started(context_, *node, started.attempts);
    }

    void operator()(const AttemptsRetracted& retracted) {
        if (!resynced("attempts_retracted")) return;
        Effects effects;
        context_.jobs.on_retracted(context_.moment(), place_.id(), retracted.attempts, effects);
        context_.turns.add(std::move(effects));
    }

    void operator()(const AttemptsEnded& ended) {
        if (!resynced("attempts_ended")) return;
        if (const auto* node = context_.cluster.find_session(place_.id()))
            note_ended(context_, *node, ended.reports);
        auto rest = raw;
        const auto now = context_.moment();
        Effects effects;
        for (const auto& report : ended.reports) {
            if (report.inline_bytes < 0 ||
                static_cast<std::size_t>(report.inline_bytes) > rest.size())
                throw BadMessageError("reports with less output behind them than they say");
            const auto size = static_cast<std::size_t>(report.inline_bytes);
            context_.jobs.on_ended(now, place_.id(), report, rest.substr(0, size), effects);
            rest.remove_prefix(size);
        }
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

    /// Before its list of attempts is known nothing that a worker says of them means anything.
    bool resynced(std::string_view what) {
        if (!resynced_)
            answer_bad_message(context_, connection_, std::string(what) + " before resync");
        return resynced_;
    }

    Context& context_;
    Connection& connection_;
    const Sessions::Place& place_;
    bool web_;
    bool worker_;
    bool resynced_ = false;
    std::vector<AttemptState> attempts_;  // of the pages so far
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
    const auto outcome = context.cluster.on_hello(Clock::now(), session, key.node_id, *hello,
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
