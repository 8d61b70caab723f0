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

/// What the master says of a token.
struct TokenRole {
    std::string role;  // viewer, submit or admin; empty: the master does not know it
    std::string name;
};

/// Asks the master about a token. Throws DisconnectionError while the master cannot be asked. It
/// must end when it is cancelled.
using TokenCheck = std::function<boost::asio::awaitable<TokenRole>(std::string token)>;

enum class Admission {
    granted,
    refused,   // the master does not know it
    too_many,  // too many wrong ones from this address
    unknown,   // the master cannot be asked
};

struct Admitted {
    Admission admission = Admission::unknown;
    TokenRole who;  // where it is granted
};

/// Decides who the sender of a request is, by the token that came with it.
class TokenGate {
  public:
    TokenGate(const boost::asio::any_io_executor& executor, TokenCheck check);

    boost::asio::awaitable<Admitted> admit(std::string token, boost::asio::ip::address address);

    /// The same for one who was let in before and is still there. Not counted as an attempt: it
    /// guesses nothing, and neighbours who guess must not hurt it.
    boost::asio::awaitable<Admitted> check_again(std::string token);

    /// How long `address` has to wait after too_many.
    std::int64_t retry_seconds(const boost::asio::ip::address& address) const;

  private:
    using Hash = std::string;

    struct Known {
        Instant until{};
        TokenRole who;
    };

    boost::asio::awaitable<Admitted> ask(std::string token, Hash hash);
    const TokenRole* known(const Hash& hash, Instant now) const;
    void remember(const Hash& hash, TokenRole who, Instant now);

    TokenCheck check_;
    TokenAttempts attempts_;
    // Only hashes are kept: a token that somebody mistyped here may be good elsewhere.
    std::map<Hash, Known> known_;
    std::set<Hash> asking_;  // a page asks for its files at once: one question for all
    Wakeup answered_;
};

}  // namespace rpic
