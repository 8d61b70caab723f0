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

/// Waits until something of this part changes, at most so long.
boost::asio::awaitable<void> wait_for_change(ClusterView& view, ClusterView::Part part,
                                             Duration patience);

}  // namespace rpic
