#pragma once

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <chrono>
#include <exception>
#include <stdexcept>

#include "common/connection.hpp"

namespace rpic::test {

/// Runs coroutines side by side on one loop until all have ended, at most 20 s; rethrows what one
/// of them threw.
template <class... Work>
void run_all(asio::io_context& io, Work... work) {
    std::exception_ptr failure;
    int running = 0;
    const auto finished = [&](const std::exception_ptr& thrown) {
        --running;
        if (thrown && !failure) failure = thrown;
    };
    ((++running, asio::co_spawn(io, std::move(work), finished)), ...);
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    io.restart();
    while (running > 0 && !failure && std::chrono::steady_clock::now() < deadline)
        io.run_one_for(std::chrono::milliseconds(100));
    if (failure) std::rethrow_exception(failure);
    if (running > 0) throw std::runtime_error("did not end within 20 s");
}

/// Two connected sockets on loopback.
struct Pair {
    explicit Pair(asio::io_context& io) : near(io), far(io) {
        tcp::acceptor acceptor(io, tcp::endpoint(asio::ip::address_v4::loopback(), 0));
        near.connect(acceptor.local_endpoint());
        acceptor.accept(far);
    }
    tcp::socket near;
    tcp::socket far;
};

}  // namespace rpic::test
