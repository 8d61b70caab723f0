#pragma once

#include <boost/asio/awaitable.hpp>

#include "common/connection.hpp"
#include "common/text.hpp"

namespace rpic {

/// Connects to a host: resolves its name and tries its addresses one after the other, each at most
/// limits::connect_time. Throws DisconnectionError which says what failed for which address.
asio::awaitable<Connection> dial(HostPort target);

/// The same, without what belongs to our protocol.
asio::awaitable<tcp::socket> dial_socket(HostPort target);

}  // namespace rpic
