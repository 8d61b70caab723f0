#pragma once

#include <memory>
#include <string_view>

#include "common/connection.hpp"
#include "common/messages.hpp"
#include "master/context.hpp"

/// One coroutine serves one connection from its accept to its end.
namespace rpic {

/// Finds out what kind of peer this is and serves it. Never throws but by cancellation: why a
/// connection ended is logged and counted here.
asio::awaitable<void> serve_peer(Context& context, tcp::socket socket);

/// The sessions: each ends by throwing DisconnectionError.
asio::awaitable<void> serve_node(Context& context, Connection& connection, KeyRecord key,
                                 std::unique_ptr<Hello> hello);
asio::awaitable<void> serve_client(Context& context, Connection& connection, KeyRecord key);
/// Ends the sessions of clients whose token has expired. Their requests would be refused: this is
/// for those who only listen. To be called once a second or so.
void end_expired_clients(Context& context);
/// The second connection of a node that has a session: files, and output that the master asks for.
asio::awaitable<void> serve_bulk(Context& context, Connection& connection, KeyRecord key);
asio::awaitable<void> serve_plain(Context& context, Connection& connection, Lobby::Seat& seat);

/// Logs and counts a message that makes no sense and tells an encrypted peer.
void answer_bad_message(Context& context, Connection& connection, std::string_view reason);

/// Tells the peer why it is not served, lets that arrive, and throws DisconnectionError(reason).
asio::awaitable<void> refuse(Connection& connection, std::string_view code, std::string reason);

}  // namespace rpic
