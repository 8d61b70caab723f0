#pragma once

#include "slave/web/cluster_view.hpp"
#include "slave/web/http.hpp"

namespace rpic {

/// The answer to a request whose sender may read: the page, its files, the API, or what is wrong.
/// Changes nothing. The answer to HEAD still has its body, whose length the header tells.
Answer route(const Request& request, const ClusterView& view, Instant now);

}  // namespace rpic
