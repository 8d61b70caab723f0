#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/address.hpp>
#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>

#include "common/clock.hpp"
#include "common/wakeup.hpp"
#include "slave/web/attempts.hpp"

namespace rpic {

/// Asks the master what a token may do; answers viewer, submit, admin or an empty string. Throws
/// DisconnectionError while the master cannot be asked. It must end when it is cancelled.
using TokenCheck = std::function<boost::asio::awaitable<std::string>(std::string token)>;

enum class Admission {
    granted,
    missing,   // no token came with the request
    refused,   // the master does not know it
    too_many,  // too many wrong ones from this address
    unknown,   // the master cannot be asked
};

/// Decides whether the sender of a request may read. Every role may.
class TokenGate {
  public:
    TokenGate(const boost::asio::any_io_executor& executor, TokenCheck check);

    boost::asio::awaitable<Admission> admit(std::string authorization,
                                            boost::asio::ip::address address);

    /// The same for one who was let in before and is still there. Not counted as an attempt: it
    /// guesses nothing, and neighbours who guess must not hurt it.
    boost::asio::awaitable<Admission> check_again(std::string authorization);

    /// How long `address` has to wait after too_many.
    std::int64_t retry_seconds(const boost::asio::ip::address& address) const;

  private:
    using Hash = std::string;

    boost::asio::awaitable<Admission> ask(std::string token, Hash hash);
    bool is_known(const Hash& hash, Instant now);
    void remember(const Hash& hash, Instant now);

    TokenCheck check_;
    TokenAttempts attempts_;
    // Only hashes are kept: a token that somebody mistyped here may be good elsewhere.
    std::map<Hash, Instant> known_;  // -> until when
    std::set<Hash> asking_;          // a page asks for its files at once: one question for all
    Wakeup answered_;
};

}  // namespace rpic
