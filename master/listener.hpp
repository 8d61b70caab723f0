#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <vector>

#include "master/context.hpp"

namespace rpic {

/// Accepts peers and lets each be served by a coroutine of its own.
class Listener {
  public:
    /// Binds at once: IPv4 and IPv6 unless the options name an address. Throws ConfigError with one
    /// line, naming who has the port where that can be known.
    Listener(const asio::any_io_executor& executor, Context& context);

    std::uint16_t port() const;
    /// HOST:PORT for programs on this machine.
    std::string local_address() const;

    /// Accepts for ever.
    asio::awaitable<void> run();

    /// Ends all sessions and waits for them, at most limits::stop_time; false if some remained.
    asio::awaitable<bool> stop();

  private:
    void open(const tcp::endpoint& endpoint, bool only_v6);
    asio::awaitable<void> accept_on(tcp::acceptor& acceptor);
    asio::awaitable<void> no_descriptor(const boost::system::error_code& error);
    void serve(tcp::socket socket);

    Context& context_;
    std::vector<tcp::acceptor> acceptors_;
    std::size_t peers_ = 0;
};

}  // namespace rpic
