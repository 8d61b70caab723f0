#pragma once

#include <catch2/catch.hpp>
#include <csignal>
#include <exception>
#include <filesystem>
#include <string>

#include "common/dial.hpp"
#include "common/keys.hpp"
#include "common/limits.hpp"
#include "common/messages.hpp"
#include "common/until_first_failure.hpp"
#include "common/version.hpp"
#include "master/listener.hpp"
#include "test/async/loopback.hpp"
#include "test/temporary_folder.hpp"

/// A master on the test's own loop, and what peers of it need.
namespace rpic::test {

inline MasterOptions options_in(const std::filesystem::path& folder, bool plain) {
    MasterOptions options;
    options.bind = "127.0.0.1";
    options.port = 0;
    options.folder = folder;
    options.plain = plain;
    return options;
}

/// A master on this loop, without its timers: the tests say when time passes.
struct TestMaster {
    explicit TestMaster(bool plain = false)
        : context(io.get_executor(), options_in(folder.path(), plain)),
          listener(io.get_executor(), context) {
        std::signal(SIGPIPE, SIG_IGN);  // as in every program: a peer may be gone already
    }

    /// Runs the test's work beside the master, then stops the master.
    template <class Work>
    void run(Work work) {
        auto all = [&]() -> asio::awaitable<void> {
            co_await until_first_failure(listener.run(), context.store.run(), context.turns.run(),
                                         std::move(work));
        };
        auto stop = [&]() -> asio::awaitable<void> {
            const bool clean = co_await listener.stop();
            CHECK(clean);
        };
        std::exception_ptr failure;
        try {
            test::run_all(io, all());
        } catch (...) {
            failure = std::current_exception();
        }
        test::run_all(io, stop());
        if (failure) std::rethrow_exception(failure);
    }

    HostPort address() const { return {"127.0.0.1", listener.port()}; }
    std::string join_key() const { return context.keyring.join_key()->key; }
    std::string admin_key() const { return context.keyring.own_admin_key()->key; }

    TemporaryFolder folder;
    asio::io_context io;
    Context context;
    Listener listener;
};

inline Hello node_hello(std::string name, std::string fingerprint = "board:1") {
    Hello hello;
    hello.version = version;
    hello.protocol = protocol_version;
    hello.peer = "node";
    hello.role = "worker";
    hello.name = std::move(name);
    hello.fingerprint = std::move(fingerprint);
    hello.machine.hostname = hello.name;
    hello.machine.cpu_cores = 4;
    return hello;
}

inline Hello client_hello() {
    Hello hello;
    hello.protocol = protocol_version;
    hello.peer = "client";
    return hello;
}

template <class Variant>
asio::awaitable<Variant> receive(Connection& link) {
    const Frame frame = co_await link.next_frame();
    ParseArena arena;
    const auto envelope = open_envelope(frame.json, arena);
    auto message = decode<Variant>(envelope);
    if (!message) throw std::runtime_error("unknown type " + std::string(envelope.type));
    co_return std::move(*message);
}

inline asio::awaitable<Connection> connect(const TestMaster& master, const TlsClient& tls) {
    const auto address = master.address();
    Connection link = co_await dial(address);
    co_await link.connect_tls(tls);
    link.set_frame_limits(limits::control_frame_bytes, 0);
    co_return link;
}

}  // namespace rpic::test
