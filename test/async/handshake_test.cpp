#include <catch2/catch.hpp>

#include "common/connection.hpp"
#include "common/keys.hpp"
#include "common/messages.hpp"
#include "test/async/loopback.hpp"

using namespace rpic;

namespace {

asio::awaitable<void> serve(Connection& connection, const TlsServer& tls, std::string& received) {
    co_await connection.accept_tls(tls);
    const Frame frame = co_await connection.next_frame();
    received = frame.json;
}

asio::awaitable<void> speak(Connection& connection, const TlsClient& tls) {
    co_await connection.connect_tls(tls);
    connection.send(KeyStored{});
}

}  // namespace

TEST_CASE("a frame that comes together with the end of the handshake is not overlooked") {
    const auto key = make_key();
    const TlsServer server_tls([&](std::string_view) { return std::optional(key_psk(key)); });
    const TlsClient client_tls(key);
    // Two loops, turned by hand, so that the server looks only when both have arrived.
    asio::io_context server_loop;
    asio::io_context client_loop;
    tcp::socket near(client_loop);
    tcp::socket far(server_loop);
    tcp::acceptor acceptor(server_loop, tcp::endpoint(asio::ip::address_v4::loopback(), 0));
    near.connect(acceptor.local_endpoint());
    acceptor.accept(far);
    Connection client(std::move(near));
    Connection server(std::move(far));
    std::string received;
    std::exception_ptr failure;
    const auto keep = [&](const std::exception_ptr& thrown) { failure = thrown; };
    asio::co_spawn(server_loop, serve(server, server_tls, received), keep);
    asio::co_spawn(client_loop, speak(client, client_tls), keep);
    client_loop.poll();  // its hello
    server_loop.poll();  // the answer
    client_loop.restart();
    client_loop.poll();  // the end of the handshake, and the frame
    server_loop.poll();
    CHECK(failure == nullptr);
    CHECK(received == R"({"type":"key_stored","payload":{}})");
}
