#include "common/connection.hpp"

#include <boost/asio/post.hpp>
#include <boost/asio/write.hpp>
#include <catch2/catch.hpp>

#include "common/limits.hpp"
#include "common/messages.hpp"
#include "common/sleep.hpp"
#include "common/until_first_failure.hpp"
#include "common/wakeup.hpp"
#include "test/async/loopback.hpp"

using namespace rpic;
using namespace std::chrono_literals;

namespace {

std::string reason_of(const std::exception_ptr& failure) {
    try {
        std::rethrow_exception(failure);
    } catch (const std::exception& error) {
        return error.what();
    }
}

/// Receives until the connection ends; gives the reason.
asio::awaitable<void> read_to_end(Connection& connection, std::string& reason, int& frames) {
    std::exception_ptr failure;
    try {
        for (;;) {
            Frame frame;
            while (connection.take_frame(frame)) ++frames;
            co_await connection.receive();
        }
    } catch (const std::exception&) {
        failure = std::current_exception();
    }
    reason = reason_of(failure);
}

asio::awaitable<void> write_raw(tcp::socket& socket, std::string bytes, std::size_t step) {
    for (std::size_t i = 0; i < bytes.size(); i += step) {
        const auto part = asio::buffer(bytes.data() + i, std::min(step, bytes.size() - i));
        co_await asio::async_write(socket, part, asio::use_awaitable);
        const Duration pause = 1ms;
        co_await sleep_for(pause);
    }
    socket.shutdown(tcp::socket::shutdown_send);
}

}  // namespace

TEST_CASE("frames arrive whole however they are cut") {
    asio::io_context io;
    test::Pair pair(io);
    Connection connection(std::move(pair.far));
    const std::string bytes =
        encode(HeartbeatAck{7}) + encode(Bye{"größe"}) + encode(HeartbeatAck{8});
    const std::size_t step = GENERATE(1, 2, 7, 1000);
    std::string reason;
    int frames = 0;
    test::run_all(io, write_raw(pair.near, bytes, step), read_to_end(connection, reason, frames));
    CHECK(frames == 3);
    CHECK(reason == "closed by the peer");
}

TEST_CASE("a frame above the limit ends the reading with that reason") {
    asio::io_context io;
    test::Pair pair(io);
    Connection connection(std::move(pair.far));
    connection.set_frame_limits(100, 0);
    std::string reason;
    int frames = 0;
    const std::string long_frame(150, 'x');
    test::run_all(io, write_raw(pair.near, long_frame, 1000),
                  read_to_end(connection, reason, frames));
    CHECK(frames == 0);
    CHECK(reason == "a frame longer than 100 bytes");
}

TEST_CASE("a peer that never reads is closed at the outbox's limit, with that reason") {
    asio::io_context io;
    test::Pair pair(io);
    Connection connection(std::move(pair.far));
    std::string reason;
    int frames = 0;
    auto flood = [](Connection& to) -> asio::awaitable<void> {
        const std::string block(256 * 1024, 'x');
        const Duration pause = 1ms;
        while (!to.closed()) {
            to.send_bytes(block);
            CHECK(to.outbox_bytes() <= limits::outbox_hard_bytes + block.size());
            co_await sleep_for(pause);
        }
    };
    test::run_all(io, flood(connection), read_to_end(connection, reason, frames));
    CHECK(reason == "does not read: more than 4.0M wait for it");
}

TEST_CASE("the first reason of a close stands, and sending afterwards does nothing") {
    asio::io_context io;
    test::Pair pair(io);
    Connection connection(std::move(pair.far));
    std::string reason;
    int frames = 0;
    connection.close("first");
    connection.close("second");
    connection.send(HeartbeatAck{1});
    CHECK(connection.outbox_bytes() == 0);
    test::run_all(io, read_to_end(connection, reason, frames));
    CHECK(reason == "first");
}

TEST_CASE("end() lets the last message arrive and keeps its reason") {
    asio::io_context io;
    test::Pair pair(io);
    Connection near(std::move(pair.near));
    Connection far(std::move(pair.far));
    far.send(Refused{"removed", "gone"});
    far.end("was removed");
    far.send(HeartbeatAck{1});
    std::string near_reason, far_reason;
    int near_frames = 0, far_frames = 0;
    auto near_side = [&]() -> asio::awaitable<void> {
        co_await read_to_end(near, near_reason, near_frames);
        near.close("done");
    };
    test::run_all(io, near_side(), read_to_end(far, far_reason, far_frames));
    CHECK(near_frames == 1);
    CHECK(near_reason == "closed by the peer");
    CHECK(far_reason == "was removed");
}

TEST_CASE("a peer that was told to end and does not is closed") {
    asio::io_context io;
    test::Pair pair(io);
    Connection connection(std::move(pair.far));
    connection.end("was removed");
    std::string reason;
    int frames = 0;
    auto sweep = [&]() -> asio::awaitable<void> {
        const Duration pause = 10ms;
        while (!connection.closed()) {
            connection.close_if_overdue(Clock::now() + limits::end_time);
            co_await sleep_for(pause);
        }
    };
    test::run_all(io, sweep(), read_to_end(connection, reason, frames));
    CHECK(reason == "was removed");
}

TEST_CASE("pre-shared keys: the right one connects, wrong and unknown ones fail alike") {
    asio::io_context io;
    const auto key = make_key();
    const TlsServer server([&](std::string_view identity) -> std::optional<Psk> {
        if (identity == key_identity(key)) return key_psk(key);
        return std::nullopt;
    });
    test::Pair pair(io);
    Connection near(std::move(pair.near));
    Connection far(std::move(pair.far));
    std::string near_reason, far_reason;
    bool near_refused = false, far_refused = false;
    auto attempt = [](asio::awaitable<void> handshake, std::string& reason,
                      bool& refused) -> asio::awaitable<void> {
        try {
            co_await std::move(handshake);
        } catch (const KeyRefusedError& error) {
            refused = true;
            reason = error.what();
        }
    };
    SECTION("right") {
        const TlsClient client(key);
        test::run_all(io, attempt(near.connect_tls(client), near_reason, near_refused),
                      attempt(far.accept_tls(server), far_reason, far_refused));
        CHECK_FALSE(near_refused);
        CHECK_FALSE(far_refused);
        CHECK(far.identity() == key_identity(key));
        near.send(HeartbeatAck{42}, "");
        auto receive = [&]() -> asio::awaitable<void> {
            const Frame frame = co_await far.next_frame();
            CHECK(frame.json == R"({"type":"heartbeat_ack","payload":{"sequence":42}})");
        };
        test::run_all(io, receive());
    }
    // A wrong key under a known identity needs a client that lies; here the server knows another
    // key by the client's identity.
    const bool wrong = GENERATE(false, true);
    const auto strange_key = make_key();
    const TlsServer misled([&](std::string_view) { return std::optional(key_psk(key)); });
    SECTION("unknown or wrong") {
        const TlsClient client(strange_key);
        test::run_all(io, attempt(near.connect_tls(client), near_reason, near_refused),
                      attempt(far.accept_tls(wrong ? misled : server), far_reason, far_refused));
        CHECK(near_refused);
        CHECK(near_reason == "the key is unknown there or wrong");
        CHECK(far_refused);
        CHECK(far_reason == "its key is unknown or wrong");
    }
}

TEST_CASE("large messages travel through TLS whole") {
    asio::io_context io;
    const auto key = make_key();
    const TlsServer server([&](std::string_view) { return std::optional(key_psk(key)); });
    const TlsClient client(key);
    test::Pair pair(io);
    Connection near(std::move(pair.near));
    Connection far(std::move(pair.far));
    far.set_frame_limits(limits::control_frame_bytes, limits::raw_tail_bytes);
    test::run_all(io, near.connect_tls(client), far.accept_tls(server));
    const std::string raw(limits::raw_tail_bytes, '\r');
    constexpr int count = 40;
    auto send = [&]() -> asio::awaitable<void> {
        const Duration pause = 1ms;
        for (int i = 0; i < count; ++i) {
            while (near.outbox_bytes() > limits::outbox_soft_bytes) co_await sleep_for(pause);
            near.send(HeartbeatAck{i}, raw);
        }
        while (near.outbox_bytes() > 0) co_await sleep_for(pause);
    };
    auto receive = [&]() -> asio::awaitable<void> {
        for (int i = 0; i < count; ++i) {
            const Frame frame = co_await far.next_frame();
            CHECK(frame.raw == raw);
        }
    };
    test::run_all(io, send(), receive());
}

TEST_CASE("until_first_failure tells the first failure, not its neighbours' abortion") {
    asio::io_context io;
    auto fail = [](Duration after, std::string reason) -> asio::awaitable<void> {
        co_await sleep_for(after);
        throw DisconnectionError(reason);
    };
    std::string reason;
    auto group = [&]() -> asio::awaitable<void> {
        try {
            co_await until_first_failure(fail(1h, "slow"), fail(5ms, "quick"), fail(1h, "slower"));
        } catch (const DisconnectionError& error) {
            reason = error.what();
        }
    };
    test::run_all(io, group());
    CHECK(reason == "quick");
}

TEST_CASE("a notification between two waits is not missed") {
    asio::io_context io;
    Wakeup wakeup(io.get_executor());
    int woken = 0;
    auto waiter = [&]() -> asio::awaitable<void> {
        auto seen = wakeup.count();
        wakeup.notify();
        seen = co_await wakeup.wait(seen);
        ++woken;
        seen = co_await wakeup.wait(seen);
        ++woken;
    };
    auto notifier = [&]() -> asio::awaitable<void> {
        const Duration pause = 5ms;
        co_await sleep_for(pause);
        wakeup.notify();
    };
    test::run_all(io, waiter(), notifier());
    CHECK(woken == 2);
}

TEST_CASE("a peer that sends faster than it is served leaves turns to others") {
    asio::io_context io;
    test::Pair pair(io);
    Connection connection(std::move(pair.far));
    connection.set_frame_limits(limits::outbox_hard_bytes, 0);
    const std::string flood(3 * limits::read_bytes, 'x');
    pair.near.non_blocking(true);
    REQUIRE(pair.near.write_some(asio::buffer(flood)) > 2 * limits::read_bytes);
    bool others = false;
    auto read = [&]() -> asio::awaitable<void> {
        co_await connection.receive();
        asio::post(io, [&] { others = true; });
        co_await connection.receive();
    };
    test::run_all(io, read());
    CHECK(others);
}

TEST_CASE("what a peer had sent before it was closed is not carried out any more") {
    asio::io_context io;
    test::Pair pair(io);
    Connection connection(std::move(pair.far));
    const std::string bytes = encode(HeartbeatAck{1}) + encode(HeartbeatAck{2});
    asio::write(pair.near, asio::buffer(bytes));
    const bool end = GENERATE(true, false);
    auto read = [&]() -> asio::awaitable<void> {
        Frame frame;
        while (!connection.take_frame(frame)) co_await connection.receive();
        if (end)
            connection.end("removed");
        else
            connection.close("removed");
        CHECK_FALSE(connection.take_frame(frame));
    };
    test::run_all(io, read());
}
