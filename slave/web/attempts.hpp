#pragma once

#include <boost/asio/ip/address.hpp>
#include <map>
#include <string>

#include "common/clock.hpp"

namespace rpic {

/// How many wrong tokens an address may try: limits::web_token_failures in each
/// limits::web_token_window. An attempt is counted before it is checked, so that many at once do
/// not slip through, and given back if the token was good. Pure.
class TokenAttempts {
  public:
    /// Counts an attempt; false if this address has none left.
    bool take(const boost::asio::ip::address& address, Instant now);

    void give_back(const boost::asio::ip::address& address);

    /// Until when an address that has none left is refused.
    Instant refused_until(const boost::asio::ip::address& address, Instant now) const;

    std::size_t size() const { return entries_.size(); }

  private:
    struct Entry {
        Instant started{};
        int count = 0;
    };

    /// An IPv6 host owns a whole /64 of addresses, so these are counted together. Once the table is
    /// full, further addresses share the entry with the empty name.
    std::string key_of(const boost::asio::ip::address& address) const;
    void forget_old(Instant now);

    std::map<std::string, Entry> entries_;
};

/// The token in an Authorization field: that of "Bearer T", or the password of "Basic ..." (RFC
/// 6750, RFC 7617). Empty if there is none.
std::string token_in(const std::string& authorization);

}  // namespace rpic
