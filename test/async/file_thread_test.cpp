#include "common/file_thread.hpp"

#include <algorithm>
#include <atomic>
#include <catch2/catch.hpp>
#include <future>
#include <vector>

#include "common/limits.hpp"
#include "common/sleep.hpp"
#include "common/until_first_failure.hpp"
#include "test/async/loopback.hpp"

using namespace rpic;
using namespace std::chrono_literals;

TEST_CASE("work is done elsewhere, in order, and its result or exception comes back",
          "[file_thread]") {
    asio::io_context io;
    FileThread files(io.get_executor());
    auto work = [](FileThread& thread) -> asio::awaitable<void> {
        auto where = [] { return std::this_thread::get_id(); };
        const auto first = co_await thread.run(std::move(where));
        CHECK(first != std::this_thread::get_id());
        auto text = [given = std::string("move-only: ")] {
            return std::make_unique<std::string>(given + "yes");
        };
        const auto moved = co_await thread.run(std::move(text));
        CHECK(*moved == "move-only: yes");
        std::string reason;
        auto fail = [] { throw std::runtime_error("no such disk"); };
        try {
            co_await thread.run(std::move(fail));
        } catch (const std::runtime_error& error) {
            reason = error.what();
        }
        CHECK(reason == "no such disk");
    };
    test::run_all(io, work(files));
}

TEST_CASE("work that nobody waits for any more is not begun", "[file_thread]") {
    asio::io_context io;
    FileThread files(io.get_executor());
    std::promise<void> gate;
    const auto opened = gate.get_future().share();
    std::atomic<int> calls = 0;
    auto block = [&]() -> asio::awaitable<void> {
        auto wait = [opened] { opened.wait(); };
        co_await files.run(std::move(wait));
    };
    auto abandoned = [&]() -> asio::awaitable<void> {
        auto count = [&calls] { ++calls; };
        co_await files.run(std::move(count));
    };
    auto give_up = [&]() -> asio::awaitable<void> {
        const Duration moment = 5ms;
        co_await until_first_failure(abandoned(), sleep_for(moment));
        gate.set_value();
    };
    test::run_all(io, block(), give_up());
    test::run_all(io, block());
    CHECK(calls == 0);
}

TEST_CASE("more work than may wait comes in turn", "[file_thread]") {
    asio::io_context io;
    FileThread files(io.get_executor());
    std::vector<std::size_t> order;  // the thread's until all is done
    std::size_t left = 3 * limits::file_queue;
    auto one = [&](std::size_t number) -> asio::awaitable<void> {
        auto note = [&order, number] { order.push_back(number); };
        co_await files.run(std::move(note));
        --left;
    };
    for (std::size_t i = 0; i < 3 * limits::file_queue; ++i)
        asio::co_spawn(io, one(i), [](const std::exception_ptr& failure) {
            if (failure) std::rethrow_exception(failure);
        });
    auto wait = [&]() -> asio::awaitable<void> {
        const Duration moment = 1ms;
        while (left > 0) co_await sleep_for(moment);
    };
    test::run_all(io, wait());
    CHECK(order.size() == 3 * limits::file_queue);
    CHECK(std::is_sorted(order.begin(), order.begin() + limits::file_queue));
}
