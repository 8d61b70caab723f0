#pragma once

#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/write.hpp>
#include <list>

#include "common/wakeup.hpp"
#include "test/bench/peer.hpp"

namespace rpic::bench {

/// Heartbeats on plain connections, as fast as the master takes them. Speaks on bare sockets: a
/// Connection would queue what does not go out at once instead of waiting.
class Flood {
  public:
    explicit Flood(const Options& options) : options_(options) {}

    asio::awaitable<void> run() {
        for (std::size_t number = 0; number < options_.connections; ++number) {
            peers_.emplace_back(co_await connect_from(options_, number));
            co_await introduce(peers_.back(), number);
        }
        json::object ready;
        ready["event"] = "ready";
        print(ready);
        std::string line;
        if (options_.wait) std::getline(std::cin, line);
        const auto began = Clock::now();
        const auto executor = co_await asio::this_coro::executor;
        Wakeup ended(executor);
        std::size_t running = peers_.size();
        std::exception_ptr failure;
        for (auto& peer : peers_)
            asio::co_spawn(executor, pour(peer), [&](const std::exception_ptr& error) {
                if (error) failure = error;
                --running;
                ended.notify();
            });
        auto seen = ended.count();
        while (running > 0 && !failure) seen = co_await ended.wait(seen);
        if (failure) std::rethrow_exception(failure);
        report(to_seconds(Clock::now() - began));
    }

  private:
    struct Peer {
        explicit Peer(tcp::socket connected) : socket(std::move(connected)) {}
        tcp::socket socket;
        std::string answers;
        std::string uuid;
    };

    asio::awaitable<void> introduce(Peer& peer, std::size_t number) {
        const auto introduction = plain_introduction(number);
        co_await asio::async_write(peer.socket, asio::buffer(introduction), asio::use_awaitable);
        peer.uuid = co_await answer(peer);
    }

    asio::awaitable<std::string> answer(Peer& peer) {
        auto buffer = asio::dynamic_buffer(peer.answers);
        const auto size =
            co_await asio::async_read_until(peer.socket, buffer, '\r', asio::use_awaitable);
        const auto text = payload_text(std::string_view(peer.answers).substr(0, size - 1));
        peer.answers.erase(0, size);
        co_return text;
    }

    /// A question at the end: its answer comes after everything before it was handled.
    asio::awaitable<void> pour(Peer& peer) {
        const auto beat = plain_heartbeat(peer.uuid);
        std::string batch;
        for (std::size_t i = 0; i < options_.batch; ++i) batch += beat;
        std::size_t left = options_.messages / peers_.size();
        while (left > 0) {
            const std::size_t count = std::min(left, options_.batch);
            const auto part = asio::buffer(batch, count * beat.size());
            co_await asio::async_write(peer.socket, part, asio::use_awaitable);
            left -= count;
        }
        const auto question = plain::text_frame("info", "uuid");
        co_await asio::async_write(peer.socket, asio::buffer(question), asio::use_awaitable);
        const auto uuid = co_await answer(peer);
        if (uuid != peer.uuid) throw std::runtime_error("a wrong answer: " + uuid);
    }

    void report(double seconds) {
        const auto messages = options_.messages / peers_.size() * peers_.size();
        json::object done;
        done["event"] = "done";
        done["messages"] = messages;
        done["seconds"] = seconds;
        done["messages_per_second"] = static_cast<double>(messages) / seconds;
        print(done);
    }

    const Options& options_;
    std::list<Peer> peers_;
};

}  // namespace rpic::bench
