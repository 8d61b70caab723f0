#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>
#include <cstdint>

namespace rpic {

/// Lets coroutines of one loop wait until somebody says that something changed. Whoever waits gives
/// the count that it has seen, so that a notification between two waits is never missed:
///
///     auto seen = wakeup.count();
///     for (;;) { look(); seen = co_await wakeup.wait(seen); }
///
/// It must outlive those who wait. (Asio's experimental channel is dead after one cancelled receive
/// in Boost 1.81, hence a timer that never expires.)
class Wakeup {
  public:
    explicit Wakeup(const boost::asio::any_io_executor& executor)
        : timer_(executor, boost::asio::steady_timer::time_point::max()) {}

    std::uint64_t count() const { return count_; }

    void notify() {
        ++count_;
        timer_.cancel();
    }

    /// Returns the new count as soon as it differs from `seen`; throws operation_aborted when the
    /// waiting coroutine is cancelled.
    boost::asio::awaitable<std::uint64_t> wait(std::uint64_t seen) {
        while (count_ == seen) {
            boost::system::error_code error;
            auto token = boost::asio::redirect_error(boost::asio::use_awaitable, error);
            co_await timer_.async_wait(token);
            const auto state = co_await boost::asio::this_coro::cancellation_state;
            if (state.cancelled() != boost::asio::cancellation_type::none)
                throw boost::system::system_error(boost::asio::error::operation_aborted);
        }
        co_return count_;
    }

  private:
    boost::asio::steady_timer timer_;
    std::uint64_t count_ = 0;
};

}  // namespace rpic
