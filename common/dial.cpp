#include "common/dial.hpp"

#include <boost/asio/experimental/parallel_group.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "common/limits.hpp"
#include "common/sleep.hpp"
#include "common/until_first_failure.hpp"

namespace rpic {

namespace {

asio::awaitable<void> fail_after(Duration time, std::string reason) {
    co_await sleep_for(time);
    throw DisconnectionError(reason);
}

asio::awaitable<void> resolve(const HostPort& target, tcp::resolver::results_type& results) {
    const auto executor = co_await asio::this_coro::executor;
    // An address needs no thread of the resolver's, which would stay for the life of the program.
    boost::system::error_code error;
    const auto address = asio::ip::make_address(target.host, error);
    if (!error) {
        const tcp::endpoint endpoint(address, target.port);
        results = tcp::resolver::results_type::create(endpoint, target.host, "");
        co_return;
    }
    tcp::resolver resolver(executor);
    auto token = asio::redirect_error(asio::use_awaitable, error);
    const auto port = std::to_string(target.port);
    const auto flags = tcp::resolver::numeric_service;
    results = co_await resolver.async_resolve(target.host, port, flags, token);
    if (error == asio::error::operation_aborted) throw boost::system::system_error(error);
    if (error)
        throw DisconnectionError("cannot resolve the host name " + target.host + ": " +
                                 error.message());
}

asio::awaitable<void> connect(tcp::socket& socket, tcp::endpoint endpoint) {
    boost::system::error_code error;
    auto token = asio::redirect_error(asio::use_awaitable, error);
    co_await socket.async_connect(endpoint, token);
    if (error == asio::error::operation_aborted) throw boost::system::system_error(error);
    if (error)
        throw DisconnectionError("cannot connect to " +
                                 format_host_port(endpoint.address().to_string(), endpoint.port()) +
                                 ": " + error.message());
}

}  // namespace

asio::awaitable<Connection> dial(HostPort target) {
    const auto executor = co_await asio::this_coro::executor;
    tcp::resolver::results_type results;
    const std::string slow_name = "cannot resolve the host name " + target.host + ": no answer";
    co_await until_first_failure(resolve(target, results),
                                 fail_after(limits::resolve_time, slow_name));
    std::string failure;
    for (const auto& result : results) {
        tcp::socket socket(executor);
        const auto endpoint = result.endpoint();
        const std::string slow = "cannot connect to " +
                                 format_host_port(endpoint.address().to_string(), endpoint.port()) +
                                 ": no answer";
        try {
            co_await until_first_failure(connect(socket, endpoint),
                                         fail_after(limits::connect_time, slow));
            boost::system::error_code ignored;
            socket.set_option(asio::socket_base::keep_alive(true), ignored);
            co_return Connection(std::move(socket));
        } catch (const DisconnectionError& error) {
            failure = error.what();
        }
    }
    throw DisconnectionError(failure);
}

}  // namespace rpic
