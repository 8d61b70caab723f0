#include "common/keys.hpp"
#include "common/limits.hpp"
#include "common/log.hpp"
#include "common/plain_messages.hpp"
#include "common/text.hpp"
#include "master/membership.hpp"
#include "master/peers.hpp"

namespace rpic {

namespace {

/// The texts' get_slave_details(): who is connected, by uuid. As many as fit into a frame that a
/// peer of ours would accept.
json::value slave_details(const Context& context) {
    json::object slaves;
    std::size_t bytes = 0;
    for (const auto& [id, node] : context.cluster.nodes()) {
        if (node->session == 0) continue;
        json::object slave;
        slave["uuid"] = id;
        slave["address"] = node->address;
        slave["name"] = node->record.name;
        slave["state"] = json::string_view(state_name(node->state));
        plain::Details details;
        details.machine = node->record.machine;
        details.cpu_percent_used = node->vitals.cpu_percent;
        slave["computer_details"] = plain::details_to_json(details);
        bytes += json::serialize(slave).size() + id.size() + 4;
        if (bytes > limits::page_bytes) break;
        slaves[id] = std::move(slave);
    }
    return slaves;
}

/// One plain peer: dispatches by type, as the texts do.
class PlainPeer {
  public:
    PlainPeer(Context& context, Connection& connection, const Sessions::Place& place,
              Lobby::Seat& seat)
        : context_(context), connection_(connection), place_(place), seat_(seat) {}

    void handle(const Frame& frame) {
        ParseArena arena;
        const auto envelope = open_envelope(frame.json, arena);
        if (envelope.type.empty()) return complain("a message without a type");
        if (id_.empty()) become_node();
        try {
            dispatch(envelope.type, *envelope.payload);
        } catch (const BadMessageError& error) {
            complain(error.what());
        }
    }

  private:
    void become_node() {
        Effects effects;
        const auto outcome = context_.cluster.on_plain_hello(
            Clock::now(), place_.id(), connection_.peer(), random_hex(16), effects);
        context_.turns.add(std::move(effects));
        if (const auto* refusal = std::get_if<Cluster::Refusal>(&outcome)) {
            ++context_.counters.join_refused;
            throw DisconnectionError("refused: " + refusal->reason);
        }
        id_ = std::get<Cluster::Joined>(outcome).node_id;
        seat_.leave();
        connection_.set_frame_limits(limits::control_frame_bytes, 0);
    }

    void dispatch(std::string_view type, const json::value& payload) {
        if (type == "message") {
            const auto* text = payload.if_string();
            if (text == nullptr) return complain("a message that is no text");
            ++context_.counters.heartbeats;
            if (log_enabled(Severity::debug))
                log_debug(connection_.peer() + ": " + printable(*text, limits::log_text_chars));
        } else if (type == "computer_details" || type == "machine_details") {
            const auto details = plain::details_from_json(payload);
            Effects effects;
            context_.cluster.on_plain_details(Clock::now(), place_.id(), details.machine,
                                              details.cpu_percent_used, effects);
            context_.turns.add(std::move(effects));
        } else if (type == "info") {
            const auto* question = payload.if_string();
            answer(question == nullptr ? std::string_view{} : std::string_view(*question));
        } else {
            complain("unknown payload type \"" + printable(type, limits::log_text_chars) + "\"");
        }
    }

    void answer(std::string_view question) {
        if (question == "computer_details") {
            plain::Details details;
            details.machine = context_.machine.facts();
            details.cpu_percent_used = context_.vitals.cpu_percent;
            connection_.send_bytes(
                plain::json_frame("master_info", plain::details_to_json(details)));
        } else if (question == "uuid") {
            connection_.send_bytes(plain::text_frame("uuid", id_));
        } else if (question == "slave_details") {
            connection_.send_bytes(plain::json_frame("slave_details", slave_details(context_)));
        } else {
            connection_.send_bytes(plain::text_frame("bad_message", "unknown"));
        }
    }

    void complain(std::string_view what) {
        ++context_.counters.bad_messages;
        log_peer(Severity::warning, "plain message", connection_.peer(),
                 "sent " + std::string(what) + ": ignored");
    }

    Context& context_;
    Connection& connection_;
    const Sessions::Place& place_;
    Lobby::Seat& seat_;
    std::string id_;  // empty until the first valid frame
};

}  // namespace

asio::awaitable<void> serve_plain(Context& context, Connection& connection, Lobby::Seat& seat) {
    const Sessions::Place place(context.sessions, connection, false);
    Membership membership(context, place.id());
    PlainPeer peer(context, connection, place, seat);
    try {
        for (;;) {
            Frame frame;
            while (connection.take_frame(frame)) peer.handle(frame);
            co_await connection.receive();
            Effects effects;
            context.cluster.on_heard(connection.last_heard(), place.id(), effects);
            context.turns.add(std::move(effects));
        }
    } catch (const std::exception& error) {
        membership.reason = error.what();
        throw;
    }
}

}  // namespace rpic
