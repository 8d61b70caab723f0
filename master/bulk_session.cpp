#include "common/limits.hpp"
#include "common/log.hpp"
#include "common/sleep.hpp"
#include "common/text.hpp"
#include "common/until_first_failure.hpp"
#include "master/blob_desk.hpp"
#include "master/peers.hpp"

namespace rpic {

namespace {

struct Request {
    FromBulk message;
    std::string bytes;  // the raw tail
};

/// Nothing for a message that makes no sense, which the node is told.
std::optional<Request> open_request(Context& context, Connection& connection, const Frame& frame) {
    ParseArena arena;
    const auto envelope = open_envelope(frame.json, arena);
    try {
        if (auto message = decode<FromBulk>(envelope))
            return Request{std::move(*message), std::string(frame.raw)};
        answer_bad_message(
            context, connection,
            "unknown type \"" + printable(envelope.type, limits::log_text_chars) + "\"");
    } catch (const BadMessageError& error) {
        answer_bad_message(context, connection, error.what());
    }
    return std::nullopt;
}

/// Any byte proves life, also on this link.
void hear(Context& context, const std::string& node_id, Instant when) {
    const auto* node = context.cluster.find(node_id);
    if (node == nullptr || node->session == 0) return;
    Effects effects;
    context.cluster.on_heard(when, node->session, effects);
    if (!effects.empty()) context.turns.add(std::move(effects));
}

asio::awaitable<void> read_bulk(Context& context, Connection& connection, const KeyRecord& key,
                                BulkLinks::Place& place) {
    // The room in which no new jobs are taken is kept for what tasks make.
    BlobDesk desk(context.files, context.blobs, connection, limits::free_disk_results);
    for (;;) {
        const Frame frame = co_await connection.next_frame();
        if (context.keyring.find(key.identity, wall_seconds()) == nullptr)
            throw KeyRefusedError("its key was removed");
        hear(context, key.node_id, connection.last_heard());
        auto request = open_request(context, connection, frame);
        if (!request) continue;
        auto& message = request->message;
        if (auto* have = std::get_if<HaveBlobs>(&message))
            co_await desk.serve(std::move(*have));
        else if (auto* put = std::get_if<PutChunk>(&message))
            co_await desk.serve(std::move(*put), std::move(request->bytes));
        else if (auto* get = std::get_if<GetChunk>(&message))
            co_await desk.serve(std::move(*get));
        else if (const auto* output = std::get_if<Output>(&message))
            place.answered(*output, request->bytes);
        else if (const auto* failed = std::get_if<Failed>(&message))
            place.failed(failed->id);
        else
            throw DisconnectionError("it has nothing more to send");
    }
}

/// A node closes the link when it is idle; one that does not is gone.
asio::awaitable<void> watch_bulk(Connection& connection) {
    for (;;) {
        const Duration left = connection.last_heard() + limits::bulk_silence - Clock::now();
        if (left <= Duration::zero()) throw DisconnectionError("its bulk link was silent");
        co_await sleep_for(left);
    }
}

}  // namespace

asio::awaitable<void> serve_bulk(Context& context, Connection& connection, KeyRecord key) {
    const auto* node = context.cluster.find(key.node_id);
    if (node == nullptr || node->session == 0) {
        const std::string reason = "a bulk link is for a node that is connected";
        co_await refuse(connection, "no_session", reason);
    }
    const Sessions::Place session(context.sessions, connection, true);
    session.session().key_identity = key.identity;  // it ends when the node is removed
    BulkLinks::Place place(context.bulk, key.node_id, connection);
    connection.set_frame_limits(limits::control_frame_bytes, limits::raw_tail_bytes);
    co_await until_first_failure(read_bulk(context, connection, key, place),
                                 watch_bulk(connection));
    throw DisconnectionError("its bulk link ended");
}

}  // namespace rpic
