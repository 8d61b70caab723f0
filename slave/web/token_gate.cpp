#include "slave/web/token_gate.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

#include "common/errors.hpp"
#include "common/limits.hpp"
#include "common/sha256.hpp"
#include "common/utf8.hpp"

namespace rpic {

namespace {

/// Takes a token out of those being asked about, however the question ends.
class Asking {
  public:
    Asking(std::set<std::string>& tokens, std::string hash, Wakeup& answered)
        : tokens_(tokens), hash_(std::move(hash)), answered_(answered) {
        tokens_.insert(hash_);
    }
    ~Asking() {
        tokens_.erase(hash_);
        answered_.notify();
    }
    Asking(const Asking&) = delete;
    Asking& operator=(const Asking&) = delete;

  private:
    std::set<std::string>& tokens_;
    std::string hash_;
    Wakeup& answered_;
};

}  // namespace

TokenGate::TokenGate(const boost::asio::any_io_executor& executor, TokenCheck check)
    : check_(std::move(check)), answered_(executor) {}

const TokenRole* TokenGate::known(const Hash& hash, Instant now) const {
    const auto found = known_.find(hash);
    return found != known_.end() && now < found->second.until ? &found->second.who : nullptr;
}

void TokenGate::remember(const Hash& hash, TokenRole who, Instant now) {
    if (known_.size() >= limits::web_tokens_kept)
        std::erase_if(known_, [now](const auto& entry) { return entry.second.until <= now; });
    if (known_.size() >= limits::web_tokens_kept) return;
    Known known;
    known.until = now + limits::web_token_kept;
    known.who = std::move(who);
    known_[hash] = std::move(known);
}

boost::asio::awaitable<Admitted> TokenGate::admit(std::string token,
                                                  boost::asio::ip::address address) {
    Hash hash = sha256_hex(token);
    while (asking_.contains(hash)) {
        const std::uint64_t seen = answered_.count();
        co_await answered_.wait(seen);
    }
    Admitted admitted;
    if (const auto* who = known(hash, Clock::now())) {
        admitted.admission = Admission::granted;
        admitted.who = *who;
        co_return admitted;
    }
    // One that was good a while ago guesses nothing: see check_again().
    const bool guesses = !known_.contains(hash);
    admitted.admission = Admission::too_many;
    if (guesses && !attempts_.take(address, Clock::now())) co_return admitted;
    admitted.admission = Admission::refused;
    // What JSON cannot carry is no token, and would cost the link to the master.
    if (token.size() > limits::web_token_chars || !is_utf8(token)) co_return admitted;
    admitted = co_await ask(std::move(token), std::move(hash));
    if (guesses && admitted.admission != Admission::refused) attempts_.give_back(address);
    co_return admitted;
}

boost::asio::awaitable<Admitted> TokenGate::check_again(std::string token) {
    Hash hash = sha256_hex(token);
    Admitted admitted;
    if (const auto* who = known(hash, Clock::now())) {
        admitted.admission = Admission::granted;
        admitted.who = *who;
        co_return admitted;
    }
    admitted = co_await ask(std::move(token), std::move(hash));
    co_return admitted;
}

boost::asio::awaitable<Admitted> TokenGate::ask(std::string token, Hash hash) {
    const Asking asking(asking_, hash, answered_);
    Admitted admitted;
    try {
        admitted.who = co_await check_(std::move(token));
    } catch (const DisconnectionError&) {
        co_return admitted;
    }
    admitted.admission = Admission::refused;
    if (admitted.who.role.empty()) {
        known_.erase(hash);
        co_return admitted;
    }
    admitted.admission = Admission::granted;
    remember(hash, admitted.who, Clock::now());
    co_return admitted;
}

std::int64_t TokenGate::retry_seconds(const boost::asio::ip::address& address) const {
    const Instant now = Clock::now();
    const auto wait =
        std::chrono::ceil<std::chrono::seconds>(attempts_.refused_until(address, now) - now);
    return std::max<std::int64_t>(1, wait.count());
}

}  // namespace rpic
