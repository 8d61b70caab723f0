#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <filesystem>
#include <functional>
#include <string>

/// Whether a slave that runs is in its cluster: `rpicluster-slave --health` asks it, for the health
/// check of a container and for monitors. They speak through a unix socket in the slave's folder,
/// so nothing has to be written while all goes its way.
namespace rpic {

/// What keeps the slave away from its master; empty while it is joined.
using Trouble = std::function<std::string()>;

/// Answers all that ask, for as long as the slave runs. That it answers proves that its loop
/// turns. Throws ConfigError if there can be no socket in `folder`.
boost::asio::awaitable<void> tell_health(std::filesystem::path folder, Trouble trouble);

/// Asks the slave of that folder, prints what it says, and gives the exit code: 0 if it is joined,
/// 1 if it is not, does not run, or does not answer within limits::request_time.
int ask_health(const std::filesystem::path& folder);

}  // namespace rpic
