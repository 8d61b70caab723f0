#pragma once

#include <boost/asio/awaitable.hpp>
#include <string>

/// What systemd wants to hear of a service (sd_notify(3)), without its library, so that programs
/// can be static. Nothing happens where no service manager listens.
namespace rpic {

/// "READY=1", "STOPPING=1", "STATUS=..."; never blocks, and never fails.
void tell_service_manager(const std::string& state);

/// Says as often as WatchdogSec= of the unit wants that the loop still turns; for as long as it
/// does. Does nothing for ever if the unit wants none.
boost::asio::awaitable<void> feed_watchdog();

}  // namespace rpic
