#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <cstddef>
#include <optional>
#include <string_view>

namespace rpic {

/// One connection of a browser, plain or TLS; which of the two is known after its first byte. All
/// functions throw DisconnectionError when the connection is over.
class WebStream {
  public:
    explicit WebStream(boost::asio::ip::tcp::socket socket) : socket_(std::move(socket)) {}

    /// The first byte that the peer sent, which stays to be read.
    boost::asio::awaitable<unsigned char> first_byte();

    boost::asio::awaitable<void> start_tls(boost::asio::ssl::context& context);
    bool encrypted() const { return tls_.has_value(); }

    boost::asio::awaitable<std::size_t> read_some(boost::asio::mutable_buffer into);

    /// May write less than asked for.
    boost::asio::awaitable<std::size_t> write_some(boost::asio::const_buffer from);

    /// Tells the peer that nothing more comes.
    boost::asio::awaitable<void> finish();

    /// Forgets what the peer still sends, until it closes.
    boost::asio::awaitable<void> drain();

    /// Whether the peer has ended its side already; never waits.
    bool peer_has_ended();

    /// Everything that waits on this connection ends.
    void close();

    boost::asio::ip::tcp::socket& socket() { return socket_; }

  private:
    boost::asio::ip::tcp::socket socket_;
    std::optional<boost::asio::ssl::stream<boost::asio::ip::tcp::socket&>> tls_;
};

}  // namespace rpic
