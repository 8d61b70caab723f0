#include "common/dial.hpp"

#include <netinet/tcp.h>

#include <boost/asio/experimental/parallel_group.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <memory>

#include "common/limits.hpp"
#include "common/sleep.hpp"
#include "common/until_first_failure.hpp"
#include "common/wakeup.hpp"

namespace rpic {

namespace {

asio::awaitable<void> fail_after(Duration time, std::string reason) {
    co_await sleep_for(time);
    throw DisconnectionError(reason);
}

/// What the system's resolver is asked. It cannot be interrupted, so whoever asks may go before the
/// answer comes.
struct Question {
    explicit Question(const asio::any_io_executor& executor) : resolver(executor), done(executor) {}
    tcp::resolver resolver;
    tcp::resolver::results_type results;
    boost::system::error_code error;
    Wakeup done;
};

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
    const auto question = std::make_shared<Question>(executor);
    const auto flags = tcp::resolver::numeric_service;
    question->resolver.async_resolve(
        target.host, std::to_string(target.port), flags,
        [question](const boost::system::error_code& failure, tcp::resolver::results_type answer) {
            question->error = failure;
            question->results = std::move(answer);
            question->done.notify();
        });
    co_await question->done.wait(0);
    if (question->error)
        throw DisconnectionError("cannot resolve the host name " + target.host + ": " +
                                 question->error.message());
    results = question->results;
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

asio::awaitable<tcp::socket> dial_socket(HostPort target) {
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
            co_return std::move(socket);
        } catch (const DisconnectionError& error) {
            failure = error.what();
        }
    }
    throw DisconnectionError(failure);
}

asio::awaitable<Connection> dial(HostPort target) {
    tcp::socket socket = co_await dial_socket(std::move(target));
    boost::system::error_code ignored;
    socket.set_option(asio::socket_base::keep_alive(true), ignored);
    // tcp(7): what the other side has not acknowledged for so long ends the connection, where
    // nothing else would tell that it is gone.
    using UserTimeout = asio::detail::socket_option::integer<IPPROTO_TCP, TCP_USER_TIMEOUT>;
    constexpr std::chrono::milliseconds silence = limits::master_silence;
    socket.set_option(UserTimeout(static_cast<int>(silence.count())), ignored);
    co_return Connection(std::move(socket));
}

}  // namespace rpic
