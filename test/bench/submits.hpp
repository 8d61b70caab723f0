#pragma once

#include <spawn.h>
#include <sys/wait.h>

#include <boost/asio/ip/udp.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <charconv>
#include <system_error>

#include "common/files.hpp"
#include "common/keys.hpp"
#include "common/limits.hpp"
#include "common/sleep.hpp"
#include "common/version.hpp"
#include "test/bench/peer.hpp"

namespace rpic::bench {

/// Jobs of one task, each submitted when the one before has ended. The task (stamp.c) sends the
/// time of its first instruction to a port of ours. Before each, the same program is started
/// without a cluster: what this machine takes for that is a part of every start.
class Submits {
  public:
    explicit Submits(const Options& options) : options_(options) {}

    asio::awaitable<void> run() {
        const auto executor = co_await asio::this_coro::executor;
        const udp::endpoint own(asio::ip::address_v4::loopback(), 0);
        udp::socket stamps(executor, own);
        const auto key = canonical_key(
            read_file_if_there(options_.key_file, limits::key_file_bytes).value_or(""));
        if (key.empty()) throw ConfigError("no key in " + options_.key_file);
        const TlsClient tls(key);
        Connection link(co_await connect_from(options_, 0));
        co_await link.connect_tls(tls);
        link.set_frame_limits(limits::control_frame_bytes, limits::raw_tail_bytes);
        Hello hello;
        hello.version = version;
        hello.protocol = protocol_version;
        hello.peer = "client";
        link.send(hello);
        co_await link.next_frame();
        json::array acknowledged;
        json::array started;
        json::array spawned;
        for (std::size_t number = 0; number < options_.messages; ++number) {
            // Until the one before is over with all that follows from it.
            co_await sleep_for(pause);
            const auto began = Clock::now();
            const auto pid = spawn(stamps.local_endpoint().port());
            const auto alone = co_await next_stamp(stamps);
            spawned.emplace_back(alone - seconds_of(began));
            ::waitpid(pid, nullptr, 0);  // it ends right after its stamp
            const auto submit = next_submit(stamps.local_endpoint().port());
            const auto sent = Clock::now();
            link.send(submit);
            const Frame frame = co_await link.next_frame();
            if (frame.json.find("\"submitted\"") == std::string_view::npos)
                throw std::runtime_error("not submitted: " + std::string(frame.json));
            acknowledged.emplace_back(to_seconds(Clock::now() - sent));
            const auto first = co_await next_stamp(stamps);
            started.emplace_back(first - seconds_of(sent));
        }
        json::object done;
        done["event"] = "done";
        done["acknowledged"] = std::move(acknowledged);
        done["started"] = std::move(started);
        done["spawned"] = std::move(spawned);
        print(done);
    }

  private:
    using udp = asio::ip::udp;
    static constexpr auto pause = std::chrono::milliseconds(60);

    Submit next_submit(std::uint16_t port) {
        Submit submit;
        submit.id = ++requests_;
        submit.spec.command = {options_.task, std::to_string(port)};
        return submit;
    }

    pid_t spawn(std::uint16_t port) const {
        std::string program = options_.task;
        std::string argument = std::to_string(port);
        char* const words[] = {program.data(), argument.data(), nullptr};
        char* const environment[] = {nullptr};
        pid_t pid = 0;
        if (const int error =
                ::posix_spawn(&pid, program.c_str(), nullptr, nullptr, words, environment))
            throw std::system_error(error, std::generic_category(), "cannot start " + program);
        return pid;
    }

    static asio::awaitable<double> next_stamp(udp::socket& stamps) {
        char bytes[64];
        udp::endpoint sender;
        const auto room = asio::buffer(bytes);
        const auto size = co_await stamps.async_receive_from(room, sender, asio::use_awaitable);
        std::int64_t nanoseconds = 0;
        std::from_chars(bytes, bytes + size, nanoseconds);
        co_return static_cast<double>(nanoseconds) / 1e9;
    }

    const Options& options_;
    std::int64_t requests_ = 0;
};

}  // namespace rpic::bench
