#pragma once

#include <array>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/experimental/parallel_group.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <exception>
#include <tuple>

namespace rpic {

/// Runs loops side by side until the first of them ends, cancels the others, waits for them, and
/// rethrows what the first ended with. So the reason of a disconnection is always the true one, not
/// the "operation aborted" of its neighbours. Returns only if the first to end did so without an
/// exception.
template <class... Loops>
boost::asio::awaitable<void> until_first_failure(Loops... loops) {
    const auto executor = co_await boost::asio::this_coro::executor;
    auto group = boost::asio::experimental::make_parallel_group(
        boost::asio::co_spawn(executor, std::move(loops), boost::asio::deferred)...);
    const auto condition = boost::asio::experimental::wait_for_one();
    auto result = co_await group.async_wait(condition, boost::asio::use_awaitable);
    const auto order = std::get<0>(result);
    const auto failures = std::apply(
        [](const auto&, const auto&... errors) {
            return std::array<std::exception_ptr, sizeof...(Loops)>{errors...};
        },
        result);
    if (failures[order[0]]) std::rethrow_exception(failures[order[0]]);
}

}  // namespace rpic
