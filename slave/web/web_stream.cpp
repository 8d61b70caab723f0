#include "slave/web/web_stream.hpp"

#include <array>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "common/errors.hpp"

namespace rpic {

namespace asio = boost::asio;
using boost::system::error_code;

namespace {

void check(const error_code& error) {
    if (!error) return;
    if (error == asio::error::eof || error == asio::ssl::error::stream_truncated)
        throw DisconnectionError("the peer closed the connection");
    throw DisconnectionError(error.message());
}

}  // namespace

asio::awaitable<unsigned char> WebStream::first_byte() {
    error_code error;
    auto token = asio::redirect_error(asio::use_awaitable, error);
    co_await socket_.async_wait(asio::ip::tcp::socket::wait_read, token);
    check(error);
    unsigned char byte = 0;
    socket_.receive(asio::buffer(&byte, 1), asio::ip::tcp::socket::message_peek, error);
    check(error);
    co_return byte;
}

asio::awaitable<void> WebStream::start_tls(asio::ssl::context& context) {
    tls_.emplace(socket_, context);
    error_code error;
    auto token = asio::redirect_error(asio::use_awaitable, error);
    co_await tls_->async_handshake(asio::ssl::stream_base::server, token);
    if (error) throw DisconnectionError("the TLS handshake failed: " + error.message());
}

asio::awaitable<std::size_t> WebStream::read_some(asio::mutable_buffer into) {
    error_code error;
    std::size_t bytes = 0;
    auto token = asio::redirect_error(asio::use_awaitable, error);
    if (tls_) {
        bytes = co_await tls_->async_read_some(into, token);
    } else {
        bytes = co_await socket_.async_read_some(into, token);
    }
    check(error);
    co_return bytes;
}

asio::awaitable<std::size_t> WebStream::write_some(asio::const_buffer from) {
    error_code error;
    std::size_t bytes = 0;
    auto token = asio::redirect_error(asio::use_awaitable, error);
    if (tls_) {
        bytes = co_await tls_->async_write_some(from, token);
    } else {
        bytes = co_await socket_.async_write_some(from, token);
    }
    check(error);
    co_return bytes;
}

asio::awaitable<void> WebStream::finish() {
    error_code error;
    if (tls_) {
        auto token = asio::redirect_error(asio::use_awaitable, error);
        co_await tls_->async_shutdown(token);
    }
    socket_.shutdown(asio::ip::tcp::socket::shutdown_send, error);
}

asio::awaitable<void> WebStream::drain() {
    std::array<char, 4096> chunk;
    error_code error;
    while (!error) {
        auto token = asio::redirect_error(asio::use_awaitable, error);
        co_await socket_.async_read_some(asio::buffer(chunk), token);
    }
}

bool WebStream::peer_has_ended() {
    error_code error;
    char byte = 0;
    socket_.non_blocking(true, error);
    const auto bytes =
        socket_.receive(asio::buffer(&byte, 1), asio::ip::tcp::socket::message_peek, error);
    if (error == asio::error::would_block || error == asio::error::try_again) return false;
    return error || bytes == 0;
}

void WebStream::close() {
    error_code error;
    socket_.close(error);
}

}  // namespace rpic
