#include "cli/client.hpp"

#include <boost/asio/co_spawn.hpp>
#include <exception>

#include "common/dial.hpp"
#include "common/errors.hpp"
#include "common/limits.hpp"
#include "common/version.hpp"

namespace rpic {

asio::io_context& Client::loop() {
    static auto* const io = new asio::io_context(1);
    return *io;
}

/// Runs one piece of asynchronous work to its end: a command does one thing at a time.
template <class Result>
Result Client::run(asio::awaitable<Result> work) {
    std::exception_ptr failure;
    std::optional<Result> result;
    asio::co_spawn(io_, std::move(work), [&](const std::exception_ptr& thrown, Result value) {
        failure = thrown;
        if (!thrown) result = std::move(value);
    });
    io_.restart();
    io_.run_for(limits::request_time);
    const bool timed_out = !failure && !result;
    if (timed_out) throw UnreachableError("the master at " + master_ + " does not answer");
    try {
        if (failure) std::rethrow_exception(failure);
    } catch (const KeyRefusedError&) {
        throw;
    } catch (const DisconnectionError& error) {
        throw UnreachableError("the master at " + master_ + " cannot be reached: " + error.what());
    } catch (const BadMessageError& error) {
        throw UnreachableError("what answers at " + master_ + " is no master: it sent " +
                               error.what());
    }
    return std::move(*result);
}

Client::Client(const Credentials& credentials)
    : tls_(credentials.key),
      master_(format_host_port(credentials.master.host, credentials.master.port)) {
    auto opened = [](Client& self, const Credentials& with) -> asio::awaitable<bool> {
        co_await self.open(with);
        co_return true;
    };
    run<bool>(opened(*this, credentials));
}

asio::awaitable<void> Client::open(const Credentials& credentials) {
    Connection link = co_await dial(credentials.master);
    connection_.emplace(std::move(link));
    co_await connection_->connect_tls(tls_);
    Hello hello;
    hello.version = version;
    hello.protocol = protocol_version;
    hello.peer = "client";
    connection_->send(hello);
    const auto answer = co_await receive();
    const auto* welcome = std::get_if<Welcome>(&answer);
    if (welcome == nullptr) throw BadMessageError("no welcome");
    welcome_ = *welcome;
    connection_->set_frame_limits(limits::control_frame_bytes, limits::raw_tail_bytes);
}

/// The next message of the master; its refusals become errors.
asio::awaitable<ToClient> Client::receive() {
    const Frame frame = co_await connection_->next_frame();
    raw_ = frame.raw;
    ParseArena arena;
    const auto envelope = open_envelope(frame.json, arena);
    auto message = decode<ToClient>(envelope);
    if (!message) throw BadMessageError("an unknown type");
    if (const auto* refused = std::get_if<Refused>(&*message)) {
        if (refused->code == "role" || refused->code == "removed")
            throw KeyRefusedError(refused->reason);
        throw DisconnectionError(refused->reason);
    }
    if (const auto* failed = std::get_if<Failed>(&*message))
        throw RequestFailedError(failed->code, failed->reason);
    if (const auto* bad = std::get_if<BadMessage>(&*message))
        throw RequestFailedError("bad_request",
                                 "the master (version " + welcome_.version +
                                     ") does not understand this command: " + bad->reason);
    co_return std::move(*message);
}

ToClient Client::next_answer() {
    return run<ToClient>(receive());
}

}  // namespace rpic
