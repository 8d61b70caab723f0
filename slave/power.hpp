#pragma once

#include <boost/asio/awaitable.hpp>
#include <string>

namespace rpic {

/// Runs a command of the administrator's by sh, in a session of its own, and logs how it ended; at
/// most limits::power_time is waited for that.
boost::asio::awaitable<void> run_power_command(std::string command);

}  // namespace rpic
