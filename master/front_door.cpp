#include "common/limits.hpp"
#include "common/log.hpp"
#include "common/version.hpp"
#include "master/peers.hpp"

namespace rpic {

namespace {

constexpr unsigned char tls_handshake_record = 0x16;  // RFC 8446 section 5.1

constexpr std::string_view http_body =
    "This is the master of an rpicluster; its page is on the node with the role \"webserver\".\n";

/// A peer that is turned away before it is anybody; each class is logged once a minute and address.
class UnwelcomeError : public DisconnectionError {
  public:
    UnwelcomeError(const char* log_class, const std::string& reason)
        : DisconnectionError("refused: " + reason), message_class(log_class) {}
    const char* message_class;
};

/// The first message: a hello, or nothing if it is `bulk`. It is parsed apart and kept on the heap,
/// because what is a variable of the session's coroutine takes memory for as long as the connection
/// lives.
std::unique_ptr<Hello> open_hello(const Frame& frame) {
    ParseArena arena;
    const auto envelope = open_envelope(frame.json, arena);
    auto message = decode<std::variant<Hello, Bulk>>(envelope);
    if (!message) throw BadMessageError("a first message that is no hello");
    if (std::holds_alternative<Bulk>(*message)) return nullptr;
    return std::make_unique<Hello>(std::get<Hello>(std::move(*message)));
}

/// Reads the hello and hands over to the session for the kind of peer.
asio::awaitable<void> serve_encrypted(Context& context, Connection& connection, Lobby::Seat& seat) {
    try {
        co_await connection.accept_tls(context.tls);
    } catch (const DisconnectionError&) {
        ++context.counters.handshake_failed;
        throw;
    }
    seat.authenticated();
    connection.set_frame_limits(limits::control_frame_bytes, 0);
    const Frame frame = co_await connection.next_frame();
    auto hello = open_hello(frame);
    seat.leave();
    // Looked up only now: the key may have been removed since the handshake.
    const auto* found = context.keyring.find(connection.identity(), wall_seconds());
    if (found == nullptr) throw KeyRefusedError("its key was removed");
    const KeyRecord key = *found;
    if (!hello && key.role == "node") co_await serve_bulk(context, connection, key);
    if (hello && hello->protocol != protocol_version) {
        const std::string reason = "protocol " + std::to_string(hello->protocol) +
                                   " is not spoken here: this master is version " + version +
                                   " with protocol " + std::to_string(protocol_version);
        co_await refuse(connection, "protocol", reason);
    }
    const bool node_key = key.role == "join" || key.role == "node" || key.role == "web";
    const bool is_client = hello && hello->peer == "client";
    if (hello && hello->peer == "node" && node_key)
        co_await serve_node(context, connection, key, std::move(hello));
    if (is_client && !node_key) co_await serve_client(context, connection, key);
    if (is_client && key.role == "web") {
        // The page may look at everything that a viewer may, and do no more.
        KeyRecord viewer = key;
        viewer.role = "viewer";
        co_await serve_client(context, connection, viewer);
    }
    ++context.counters.role_refused;
    const std::string reason =
        node_key
            ? "this key lets nodes join and nothing else: clients need a token or the admin key"
            : "this key is for clients: nodes join with the join key";
    co_await refuse(connection, "role", reason);
}

asio::awaitable<void> refuse_http(Context& context, Connection& connection) {
    ++context.counters.refused_http;
    connection.send_bytes(
        "HTTP/1.1 426 Upgrade Required\r\n"
        "Content-Type: text/plain\r\n"
        "Upgrade: TLS/1.3\r\n"
        "Connection: Upgrade, close\r\n"
        "Content-Length: " +
        std::to_string(http_body.size()) + "\r\n\r\n");
    connection.send_bytes(http_body);
    co_await connection.finish(limits::end_time);
    throw UnwelcomeError("http", "it speaks HTTP and was told that this is not a web server");
}

/// The first byte says what a peer speaks.
asio::awaitable<void> serve_by_first_byte(Context& context, Connection& connection,
                                          Lobby::Seat& seat) {
    const unsigned char first = co_await connection.peek();
    if (first == tls_handshake_record) {
        co_await serve_encrypted(context, connection, seat);
    } else if (first == '{' && context.options.plain) {
        co_await serve_plain(context, connection, seat);
    } else if (first == '{') {
        ++context.counters.refused_plain;
        throw UnwelcomeError("plain",
                             "it speaks the unencrypted protocol, which only --plain opens");
    } else if (first >= 'A' && first <= 'Z') {
        co_await refuse_http(context, connection);
    } else {
        ++context.counters.refused_noise;
        throw UnwelcomeError("noise", "it speaks nothing that is spoken here");
    }
}

}  // namespace

asio::awaitable<void> serve_peer(Context& context, tcp::socket socket) {
    Connection connection(std::move(socket));
    connection.set_frame_limits(limits::unauthenticated_frame_bytes, 0);
    Lobby::Seat seat(context.lobby, connection);
    const char* message_class = "disconnected";  // limited apart for each kind of ending
    Severity severity = Severity::info;
    std::string reason;
    try {
        co_await serve_by_first_byte(context, connection, seat);
    } catch (const KeyRefusedError& error) {
        ++context.counters.key_refused;
        message_class = "key";
        severity = Severity::warning;
        reason = std::string("refused: ") + error.what();
    } catch (const UnwelcomeError& error) {
        message_class = error.message_class;
        severity = Severity::warning;
        reason = error.what();
    } catch (const DisconnectionError& error) {
        // How a known peer ends is told where it matters: by the state of its node.
        if (seat.left()) severity = Severity::debug;
        reason = error.what();
    } catch (const BadMessageError& error) {
        ++context.counters.broken_frames;
        message_class = "broken";
        severity = Severity::warning;
        reason = std::string("closed: it sent ") + error.what();
    }
    if (connection.peer_did_not_read()) {
        ++context.counters.closed_not_reading;
        message_class = "not reading";
        severity = Severity::warning;
    }
    if (!context.stopping) log_peer(severity, message_class, connection.peer(), reason);
}

void answer_bad_message(Context& context, Connection& connection, std::string_view reason) {
    ++context.counters.bad_messages;
    log_peer(Severity::warning, "bad message", connection.peer(), reason);
    BadMessage answer;
    answer.reason = reason;
    connection.send(answer);
}

asio::awaitable<void> refuse(Connection& connection, std::string_view code, std::string reason) {
    Refused refused;
    refused.code = code;
    refused.reason = reason;
    connection.send(refused);
    co_await connection.finish(limits::end_time);
    throw DisconnectionError("refused: " + reason);
}

}  // namespace rpic
