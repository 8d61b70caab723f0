#include "common/keys.hpp"
#include "common/limits.hpp"
#include "common/log.hpp"
#include "common/text.hpp"
#include "common/version.hpp"
#include "master/membership.hpp"
#include "master/peers.hpp"

namespace rpic {

namespace {

/// What a node may say.
class NodeVisitor {
  public:
    NodeVisitor(Context& context, Connection& connection, const Sessions::Place& place, bool web)
        : context_(context), connection_(connection), place_(place), web_(web) {}

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
        apply_and_record(context_, effects);
    }

    void operator()(const Bye& bye) {
        throw DisconnectionError("it said goodbye: " + printable(bye.reason, limits::text_chars));
    }

    template <class Message>
    void operator()(const Message&) {}

    void operator()(const Watch&) {
        if (!web_) return forbid("watch");
        place_.session().watching = true;
        place_.session().complete = false;
    }

    void operator()(const CheckToken& check) {
        if (!web_) return forbid("check_token");
        const auto* record =
            context_.keyring.find(key_identity(canonical_key(check.token)), wall_seconds());
        TokenChecked answer;
        answer.id = check.id;
        if (record != nullptr && role_allows(record->role, "viewer")) answer.role = record->role;
        connection_.send(answer);
    }

  private:
    void forbid(std::string_view what) {
        ++context_.counters.role_refused;
        answer_bad_message(context_, connection_,
                           std::string(what) + " is for nodes with the role webserver");
    }

    Context& context_;
    Connection& connection_;
    const Sessions::Place& place_;
    bool web_;
};

void handle(Context& context, Connection& connection, const Frame& frame, NodeVisitor& visitor) {
    ParseArena arena;
    const auto envelope = open_envelope(frame.json, arena);
    try {
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
    batch = apply_effects(context, effects);
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
    co_await context.store.commit(std::move(batch));
    connection.send(welcome);
}

}  // namespace

asio::awaitable<void> serve_node(Context& context, Connection& connection, KeyRecord key,
                                 std::unique_ptr<Hello> hello) {
    const bool wants_web = hello->role == "webserver";
    if (key.role != "join" && wants_web != (key.role == "web")) {
        ++context.counters.role_refused;
        const std::string reason =
            "this node's key is for another role: start it with --rejoin to join in its new one";
        co_await refuse(connection, "role", reason);
    }
    const Sessions::Place place(context.sessions, connection, true);
    Membership membership(context, place.id());
    connection.set_frame_limits(limits::control_frame_bytes, 0);
    try {
        co_await join(context, connection, place.id(), key, std::move(hello));
        NodeVisitor visitor(context, connection, place, wants_web);
        for (;;) {
            Frame frame;
            while (connection.take_frame(frame)) handle(context, connection, frame, visitor);
            co_await connection.receive();
            Effects effects;
            context.cluster.on_heard(connection.last_heard(), place.id(), effects);
            apply_and_record(context, effects);
        }
    } catch (const std::exception& error) {
        membership.reason = error.what();
        throw;
    }
}

}  // namespace rpic
