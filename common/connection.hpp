#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <memory>
#include <string>
#include <string_view>

#include "common/clock.hpp"
#include "common/codec.hpp"
#include "common/errors.hpp"
#include "common/frame.hpp"
#include "common/tls.hpp"

namespace rpic {

namespace asio = boost::asio;
using tcp = asio::ip::tcp;

/// One framed connection, plain or encrypted. It is owned by the coroutine that reads from it:
///
///     for (;;) {
///         Frame frame;
///         while (connection.take_frame(frame)) handle(frame);   // valid until the next call
///         co_await connection.receive();                        // ends by throwing the reason
///     }
///
/// Others of the same loop may call send() and close(): both return at once and never throw.
/// Reading stops, with the true reason, when the peer ends the connection, breaks the protocol or
/// does not read what is sent to it.
class Connection {
  public:
    explicit Connection(tcp::socket socket);
    ~Connection();
    Connection(Connection&&) noexcept;
    Connection& operator=(Connection&&) = delete;

    /// IP:PORT of the other side; empty if it was gone before it was looked at.
    const std::string& peer() const;
    /// IP:PORT of this side.
    std::string local() const;

    /// Waits for the first byte and returns it without taking it.
    asio::awaitable<unsigned char> peek();

    /// Encrypts. Throws KeyRefusedError if the keys do not match.
    asio::awaitable<void> accept_tls(const TlsServer& tls);
    asio::awaitable<void> connect_tls(const TlsClient& tls);
    /// Identity that the peer proved with accept_tls.
    std::string identity() const;

    void set_frame_limits(std::size_t max_json, std::size_t max_raw);

    /// The next frame that is already here; valid until the next call of this or of receive().
    /// Throws BadMessageError if the bytes are no frame.
    bool take_frame(Frame& frame);

    /// Waits until there are more bytes. Throws DisconnectionError.
    asio::awaitable<void> receive();

    /// take_frame() and receive() in one, for dialogues where answers are awaited one by one.
    asio::awaitable<Frame> next_frame();

    /// Queues a message. When more than limits::outbox_hard_bytes wait, the connection is closed.
    template <class Message>
    void send(const Message& message, std::string_view raw = {}) {
        if (can_send()) {
            encode_to(outbox(), message, raw);
            flush_soon();
        }
    }
    /// The same for a frame that is encoded already.
    void send_bytes(std::string_view bytes);

    /// Ends the connection. The owner's receive() throws DisconnectionError(reason); the first
    /// reason stands.
    void close(std::string_view reason);

    /// The same after what was sent has gone out: the peer may read it and end its side first. What
    /// it still sends is thrown away. One who does not end is closed by close_if_overdue().
    void end(std::string_view reason);

    /// Closes a connection whose peer takes no bytes for limits::write_stall, or does not end its
    /// side within limits::end_time of end(). To be called about once a second.
    void close_if_overdue(Instant now);

    /// Lets what was sent arrive, waits for the peer to end its side, both at most `patience`.
    asio::awaitable<void> finish(Duration patience);

    bool closed() const;
    /// Whether it was closed because the peer does not take what is sent to it.
    bool peer_did_not_read() const;
    std::size_t outbox_bytes() const;
    /// When the last byte came in; the time of construction before that.
    Instant last_heard() const;
    /// Whether any byte came in, counting those that nobody has read yet.
    bool spoke() const;

  private:
    struct State;

    bool can_send() const;
    std::string& outbox();
    void flush_soon();

    std::shared_ptr<State> state_;
};

}  // namespace rpic
