#include "cli/client.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <csignal>
#include <cstdio>
#include <exception>

#include "common/errors.hpp"
#include "common/keys.hpp"
#include "common/sleep.hpp"

namespace rpic {

asio::io_context& Client::loop() {
    static auto* const io = new asio::io_context(1);
    return *io;
}

/// Runs one piece of asynchronous work to its end, at most so long: a command does one thing at a
/// time. Nothing is left behind when it is given up: the work is cancelled and waited for.
template <class Result>
std::optional<Result> Client::run(asio::awaitable<Result> work, Duration patience) {
    std::exception_ptr failure;
    std::optional<Result> result;
    bool ended = false;
    asio::cancellation_signal give_up;
    const auto finished = [&](const std::exception_ptr& thrown, Result value) {
        ended = true;
        failure = thrown;
        if (!thrown) result = std::move(value);
    };
    asio::co_spawn(io_, std::move(work), asio::bind_cancellation_slot(give_up.slot(), finished));
    io_.restart();
    io_.poll();
    const auto deadline = Clock::now() + patience;
    while (!ended && !interrupted_ && Clock::now() < deadline)
        io_.run_one_for(deadline - Clock::now());
    const bool given_up = !ended;
    if (given_up) {
        give_up.emit(asio::cancellation_type::terminal);
        while (!ended) io_.run_one();
    }
    if (result) return result;
    if (given_up) {
        if (std::exchange(interrupted_, false)) throw InterruptedError();
        return std::nullopt;
    }
    try {
        std::rethrow_exception(failure);
    } catch (const KeyRefusedError&) {
        throw;
    } catch (const DisconnectionError& error) {
        link_.disconnect();
        throw UnreachableError("the master at " + master_ + " cannot be reached: " + error.what());
    } catch (const BadMessageError& error) {
        link_.disconnect();
        throw UnreachableError("what answers at " + master_ + " is no master: it sent " +
                               error.what());
    }
}

Client::Client(const Credentials& credentials)
    : target_(credentials.master),
      link_(credentials.key),
      master_(format_host_port(credentials.master.host, credentials.master.port)) {
    connect();
}

asio::awaitable<bool> Client::open() {
    replies_.clear();
    ahead_.clear();
    co_await link_.connect(target_);
    ++connections_;
    co_return true;
}

std::optional<Reply> Client::wait_for(std::int64_t id, Duration patience) {
    const auto deadline = Clock::now() + patience;
    for (;;) {
        const auto found = std::find_if(replies_.begin(), replies_.end(),
                                        [&](const Reply& reply) { return reply.id == id; });
        if (found != replies_.end()) {
            std::optional<Reply> reply = std::move(*found);
            replies_.erase(found);
            return reply;
        }
        auto reply = run<Reply>(link_.receive(), deadline - Clock::now());
        if (!reply) return std::nullopt;
        replies_.push_back(std::move(*reply));
    }
}

Reply Client::reply_to(std::int64_t id, Duration patience) {
    auto reply = wait_for(id, patience);
    if (reply) return std::move(*reply);
    link_.disconnect();
    throw UnreachableError("the master at " + master_ + " does not answer");
}

/// Connects within limits::request_time; else there is no connection, not even a part of one.
void Client::connect() {
    try {
        if (run<bool>(open(), limits::request_time)) return;
    } catch (...) {
        link_.disconnect();
        throw;
    }
    link_.disconnect();
    throw UnreachableError("the master at " + master_ + " does not answer");
}

void Client::reconnect(Duration patience) {
    const auto deadline = Clock::now() + patience;
    bool said = false;
    Duration ceiling = limits::reconnect_first;
    for (;;) {
        std::string reason;
        try {
            connect();
            if (said) std::fprintf(stderr, "rpicluster: the master is back\n");
            return;
        } catch (const UnreachableError& error) {
            reason = error.what();
        }
        if (Clock::now() >= deadline) throw UnreachableError(reason);
        // The first attempts may fall into a restart that nobody needs to hear of.
        if (!said && ceiling > limits::reconnect_first * 4) {
            std::fprintf(stderr, "rpicluster: %s; waiting for it to come back\n", reason.c_str());
            said = true;
        }
        pause(std::chrono::duration_cast<Duration>(ceiling * random_unit()));
        ceiling = std::min<Duration>(2 * ceiling, limits::reconnect_early_max);
    }
}

void Client::watch_interrupts() {
    if (signals_) return;
    signals_.emplace(io_, SIGINT);
    await_interrupt();
}

void Client::await_interrupt() {
    signals_->async_wait([this](const boost::system::error_code& error, int) {
        if (error) return;
        interrupted_ = true;
        await_interrupt();
    });
}

void Client::watch_quit_key() {
    const int terminal = ::fcntl(0, F_DUPFD_CLOEXEC, 3);
    if (terminal < 0) return;  // Ctrl-C still works
    keys_.emplace(io_, terminal);
    await_key();
}

void Client::await_key() {
    keys_->async_wait(asio::posix::stream_descriptor::wait_read,
                      [this](const boost::system::error_code& error) {
                          char key = 0;
                          // Reads what is there, so it cannot block; nothing: the terminal is gone.
                          if (error || ::read(keys_->native_handle(), &key, 1) != 1) return;
                          if (key == 'q' || key == 'Q') interrupted_ = true;
                          await_key();
                      });
}

void Client::pause(Duration duration) {
    auto wait = [](Duration so_long) -> asio::awaitable<bool> {
        co_await sleep_for(so_long);
        co_return true;
    };
    run<bool>(wait(duration), duration + std::chrono::seconds(1));
}

}  // namespace rpic
