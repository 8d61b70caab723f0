#pragma once

#include <boost/asio/awaitable.hpp>
#include <optional>
#include <string>

#include "slave/web/exchange.hpp"

/// ?wait=: an answer that comes when there is news.
namespace rpic {

/// Waits as the request's `wait` and If-None-Match say: until this part of the view is another than
/// the one that the browser has, or without that field than now. Gives the ETag of what there is
/// then. Without a part it is about all of the view.
boost::asio::awaitable<std::string> wait_for_view(Exchange& exchange,
                                                  std::optional<ClusterView::Part> part);

/// A webserver that has just started knows of no node yet, which is not the same as that there is
/// none: waits a moment for the first picture, unless the master is known to be away.
boost::asio::awaitable<void> wait_for_first_picture(ClusterView& view);

/// Waits until this part of the view is of another version than the one that was `seen`, at most so
/// long. Who asks the master as well looks at the version before that, and misses nothing.
boost::asio::awaitable<void> wait_for_change(ClusterView& view, ClusterView::Part part,
                                             std::uint64_t seen, Duration patience);

}  // namespace rpic
