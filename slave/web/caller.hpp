#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/address.hpp>

#include "slave/web/exchange.hpp"

/// Who sent a request, and whether a page of ours made it.
namespace rpic {

/// The token of the Authorization field, else that of the session that the cookie names. One
/// without either field is a viewer if it is `trusted`, which means on this machine and not sent on
/// by a proxy, and nobody otherwise. Throws ProblemError 401, 429, 503.
boost::asio::awaitable<Caller> identify(const WebServices& services, const Request& request,
                                        boost::asio::ip::address address, bool trusted);

/// The token that these credentials are about; empty if there is none (any more).
std::string token_of(const WebServices& services, const Request& request);

/// A request that changes something must not come from another site's page. Throws ProblemError
/// 403.
void check_same_site(const Request& request);

/// What a browser sends by itself is no sign that its user wants this. Throws ProblemError 403.
void check_intent(const Request& request, const Caller& caller);

}  // namespace rpic
