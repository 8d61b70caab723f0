#include "common/master_client.hpp"

#include "common/dial.hpp"
#include "common/errors.hpp"
#include "common/limits.hpp"
#include "common/version.hpp"

namespace rpic {

asio::awaitable<void> MasterClient::connect(HostPort target) {
    connection_.reset();
    Connection link = co_await dial(target);
    connection_.emplace(std::move(link));
    co_await connection_->connect_tls(tls_);
    connection_->set_frame_limits(limits::control_frame_bytes, limits::raw_tail_bytes);
    Hello hello;
    hello.version = version;
    hello.protocol = protocol_version;
    hello.peer = "client";
    connection_->send(hello);
    const auto answer = co_await receive();
    const auto* welcome = std::get_if<Welcome>(&answer.message);
    if (welcome == nullptr) throw BadMessageError("no welcome");
    welcome_ = *welcome;
}

/// A refusal ends the connection and becomes an error.
asio::awaitable<Reply> MasterClient::receive() {
    if (!connection_) throw DisconnectionError("the connection is closed");
    const Frame frame = co_await connection_->next_frame();
    ParseArena arena;
    const auto envelope = open_envelope(frame.json, arena);
    auto message = decode<ToClient>(envelope);
    if (!message) throw BadMessageError("an unknown type");
    if (const auto* refused = std::get_if<Refused>(&*message)) {
        if (refused->code == "role" || refused->code == "removed")
            throw KeyRefusedError(refused->reason);
        throw DisconnectionError(refused->reason);
    }
    Reply reply;
    reply.message = std::move(*message);
    reply.raw = frame.raw;
    std::visit(
        [&](const auto& any) {
            if constexpr (requires { any.id; }) reply.id = any.id;
        },
        reply.message);
    if (const auto* bad = std::get_if<BadMessage>(&reply.message))
        throw RequestFailedError("bad_request",
                                 "the master (version " + welcome_.version +
                                     ") does not understand this command: " + bad->reason);
    co_return reply;
}

void throw_failure(const Reply& reply) {
    if (const auto* failed = std::get_if<Failed>(&reply.message))
        throw RequestFailedError(failed->code, failed->reason);
    throw RequestFailedError("bad_request",
                             "the master sent an answer that does not belong to the question");
}

}  // namespace rpic
