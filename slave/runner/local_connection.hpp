#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "common/codec.hpp"
#include "common/errors.hpp"
#include "common/frame.hpp"

namespace rpic {

using LocalSocket = boost::asio::local::stream_protocol::socket;

/// A framed connection between a slave and its runner. Read by the coroutine that owns it, as a
/// Connection is; this one knows no encryption, so that the runner stays small.
class LocalConnection {
  public:
    explicit LocalConnection(LocalSocket socket);
    ~LocalConnection();
    LocalConnection(LocalConnection&&) noexcept;
    LocalConnection& operator=(LocalConnection&&) = delete;

    /// The next frame that is here; valid until the next call of this or of receive(). Throws
    /// BadMessageError.
    bool take_frame(Frame& frame);

    /// Waits until there are more bytes. Throws DisconnectionError.
    boost::asio::awaitable<void> receive();

    template <class Message>
    void send(const Message& message, std::string_view raw = {}) {
        encode_to(outbox(), message, raw);
        flush_soon();
    }
    void send_bytes(std::string_view bytes);

    /// Ends it; receive() throws DisconnectionError(reason). The first reason stands.
    void close(std::string_view reason);
    bool closed() const;

    /// Above limits::outbox_soft_bytes nobody should add more; above outbox_hard_bytes it is
    /// closed.
    std::size_t outbox_bytes() const;

  private:
    struct State;

    std::string& outbox();
    void flush_soon();

    std::shared_ptr<State> state_;
};

/// Descriptor of a unix socket that listens on `folder`/socket, mode 0600; what was left there is
/// removed. Paths may be longer than a socket's address. Throws ConfigError.
int listen_in(const std::filesystem::path& folder);

/// A connection to it that does not block; -1 and errno if nobody listens.
int connect_in(const std::filesystem::path& folder);

/// Whether the process at the other end runs as this user or as root.
bool peer_is_trusted(int socket);

}  // namespace rpic
