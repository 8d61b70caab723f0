#include "slave/web/token_gate.hpp"

#include <openssl/sha.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "common/errors.hpp"
#include "common/limits.hpp"

namespace rpic {

namespace {

std::string sha256(const std::string& text) {
    unsigned char digest[SHA256_DIGEST_LENGTH];
    SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest);
    return std::string(std::begin(digest), std::end(digest));
}

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

bool TokenGate::is_known(const Hash& hash, Instant now) {
    const auto known = known_.find(hash);
    return known != known_.end() && now < known->second;
}

void TokenGate::remember(const Hash& hash, Instant now) {
    std::erase_if(known_, [now](const auto& entry) { return entry.second <= now; });
    if (known_.size() < limits::web_tokens_kept) known_[hash] = now + limits::web_token_kept;
}

boost::asio::awaitable<Admission> TokenGate::admit(std::string authorization,
                                                   boost::asio::ip::address address) {
    std::string token = token_in(authorization);
    if (token.empty()) co_return Admission::missing;
    Hash hash = sha256(token);
    while (asking_.contains(hash)) {
        const std::uint64_t seen = answered_.count();
        co_await answered_.wait(seen);
    }
    if (is_known(hash, Clock::now())) co_return Admission::granted;
    if (!attempts_.take(address, Clock::now())) co_return Admission::too_many;
    if (token.size() > limits::web_token_chars) co_return Admission::refused;
    const Admission admission = co_await ask(std::move(token), std::move(hash));
    if (admission != Admission::refused) attempts_.give_back(address);
    co_return admission;
}

boost::asio::awaitable<Admission> TokenGate::check_again(std::string authorization) {
    std::string token = token_in(authorization);
    Hash hash = sha256(token);
    if (is_known(hash, Clock::now())) co_return Admission::granted;
    const Admission admission = co_await ask(std::move(token), std::move(hash));
    co_return admission;
}

boost::asio::awaitable<Admission> TokenGate::ask(std::string token, Hash hash) {
    const Asking asking(asking_, hash, answered_);
    std::string role;
    try {
        role = co_await check_(std::move(token));
    } catch (const DisconnectionError&) {
        co_return Admission::unknown;
    }
    if (role.empty()) co_return Admission::refused;
    remember(hash, Clock::now());
    co_return Admission::granted;
}

std::int64_t TokenGate::retry_seconds(const boost::asio::ip::address& address) const {
    const Instant now = Clock::now();
    const auto wait =
        std::chrono::ceil<std::chrono::seconds>(attempts_.refused_until(address, now) - now);
    return std::max<std::int64_t>(1, wait.count());
}

}  // namespace rpic
