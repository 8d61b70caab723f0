#include "master/listener.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "common/limits.hpp"
#include "common/log.hpp"
#include "common/port_owner.hpp"
#include "common/sleep.hpp"
#include "common/text.hpp"
#include "common/until_first_failure.hpp"
#include "master/peers.hpp"

namespace rpic {

namespace {

[[noreturn]] void cannot_listen(const tcp::endpoint& endpoint,
                                const boost::system::error_code& error) {
    std::string text = "cannot listen on " +
                       format_host_port(endpoint.address().to_string(), endpoint.port()) + ": " +
                       error.message();
    if (error == asio::error::address_in_use) {
        const auto owner = port_owner(endpoint.port());
        text += owner.empty() ? "" : " by " + owner;
        text += "; stop it or choose another --port";
    }
    throw ConfigError(text);
}

}  // namespace

Listener::Listener(const asio::any_io_executor& executor, Context& context) : context_(context) {
    acceptors_.reserve(2);
    const auto& options = context.options;
    if (!options.bind.empty()) {
        boost::system::error_code error;
        const auto address = asio::ip::make_address(options.bind, error);
        if (error)
            throw ConfigError("bad address \"" + printable(options.bind, limits::log_text_chars) +
                              "\" for --bind: expected an IP address of this machine");
        acceptors_.emplace_back(executor);
        open(tcp::endpoint(address, options.port), false);
        return;
    }
    acceptors_.emplace_back(executor);
    open(tcp::endpoint(tcp::v4(), options.port), false);
    acceptors_.emplace_back(executor);
    try {
        open(tcp::endpoint(tcp::v6(), port()), true);
    } catch (const ConfigError& error) {
        acceptors_.pop_back();
        log_info(std::string("IPv4 alone: ") + error.what());
    }
}

void Listener::open(const tcp::endpoint& endpoint, bool only_v6) {
    auto& acceptor = acceptors_.back();
    boost::system::error_code error;
    acceptor.open(endpoint.protocol(), error);
    if (!error) acceptor.set_option(tcp::acceptor::reuse_address(true), error);
    if (!error && only_v6) acceptor.set_option(asio::ip::v6_only(true), error);
    if (!error) acceptor.bind(endpoint, error);
    if (!error) acceptor.listen(limits::listen_backlog, error);
    if (error) cannot_listen(endpoint, error);
}

std::uint16_t Listener::port() const {
    return acceptors_.front().local_endpoint().port();
}

std::string Listener::local_address() const {
    const auto address = acceptors_.front().local_endpoint().address();
    if (!address.is_unspecified()) return format_host_port(address.to_string(), port());
    return format_host_port(address.is_v6() ? "::1" : "127.0.0.1", port());
}

asio::awaitable<void> Listener::run() {
    if (acceptors_.size() == 1)
        co_await accept_on(acceptors_[0]);
    else
        co_await until_first_failure(accept_on(acceptors_[0]), accept_on(acceptors_[1]));
}

asio::awaitable<void> Listener::accept_on(tcp::acceptor& acceptor) {
    for (;;) {
        if (context_.lobby.full()) {
            ++context_.counters.accept_paused;
            co_await context_.lobby.wait_for_room();
        }
        boost::system::error_code error;
        auto token = asio::redirect_error(asio::use_awaitable, error);
        tcp::socket socket = co_await acceptor.async_accept(token);
        if (error == asio::error::operation_aborted) throw boost::system::system_error(error);
        if (!error)
            serve(std::move(socket));
        else if (error != asio::error::connection_aborted)
            co_await no_descriptor(error);
    }
}

/// Most likely EMFILE: those who are connected stay, those who come wait in the kernel.
asio::awaitable<void> Listener::no_descriptor(const boost::system::error_code& error) {
    ++context_.counters.accept_no_descriptor;
    const std::string text = "cannot accept: " + error.message() +
                             "; raise the limit of open files (ulimit -n, LimitNOFILE=)";
    log_peer(Severity::warning, "accept", "listener", text);
    const auto pause = std::chrono::milliseconds(100);
    co_await sleep_for(pause);
}

void Listener::serve(tcp::socket socket) {
    ++context_.counters.accepted;
    ++peers_;
    boost::system::error_code ignored;
    socket.set_option(asio::socket_base::keep_alive(true), ignored);
    const auto executor = socket.get_executor();
    asio::co_spawn(executor, serve_peer(context_, std::move(socket)),
                   [this](const std::exception_ptr& failure) {
                       --peers_;
                       if (!failure) return;
                       try {
                           std::rethrow_exception(failure);
                       } catch (const std::exception& error) {
                           log_peer(Severity::error, "session", "session", error.what());
                       }
                   });
}

asio::awaitable<bool> Listener::stop() {
    context_.stopping = true;
    for (auto& acceptor : acceptors_) acceptor.close();
    std::vector<SessionId> ids;
    for (const auto& [id, session] : context_.sessions.all()) ids.push_back(id);
    for (const auto id : ids) context_.sessions.end(id, "stopping", "the master is stopping");
    context_.lobby.close_all("the master is stopping");
    const auto deadline = Clock::now() + limits::stop_time;
    const auto step = std::chrono::milliseconds(10);
    while (peers_ > 0 && Clock::now() < deadline) {
        const auto now = Clock::now();
        // Those who take their time with ending are ended when half of the time is over.
        if (now > deadline - limits::stop_time / 2)
            for (auto& [id, session] : context_.sessions.all())
                session.connection->close("the master is stopping");
        co_await sleep_for(step);
    }
    co_return peers_ == 0;
}

}  // namespace rpic
