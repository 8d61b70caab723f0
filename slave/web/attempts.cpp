#include "slave/web/attempts.hpp"

#include <openssl/evp.h>

#include <boost/asio/ip/address_v6.hpp>
#include <vector>

#include "common/limits.hpp"
#include "common/text.hpp"
#include "slave/web/host_rule.hpp"

namespace rpic {

std::string TokenAttempts::key_of(const boost::asio::ip::address& address) const {
    const auto plain = plain_address(address);
    std::string key;
    if (plain.is_v4()) {
        key = plain.to_string();
    } else {
        const auto bytes = plain.to_v6().to_bytes();
        key.assign(bytes.begin(), bytes.begin() + 8);
    }
    const bool fits = entries_.size() < limits::web_token_addresses || entries_.contains(key);
    return fits ? key : std::string();
}

void TokenAttempts::forget_old(Instant now) {
    std::erase_if(entries_, [now](const auto& entry) {
        return now - entry.second.started >= limits::web_token_window;
    });
}

bool TokenAttempts::take(const boost::asio::ip::address& address, Instant now) {
    if (entries_.size() >= limits::web_token_addresses) forget_old(now);
    Entry& entry = entries_[key_of(address)];
    if (now - entry.started >= limits::web_token_window) entry = Entry{now, 0};
    if (entry.count >= limits::web_token_failures) return false;
    ++entry.count;
    return true;
}

void TokenAttempts::give_back(const boost::asio::ip::address& address) {
    const auto entry = entries_.find(key_of(address));
    if (entry == entries_.end()) return;
    if (--entry->second.count <= 0) entries_.erase(entry);
}

Instant TokenAttempts::refused_until(const boost::asio::ip::address& address, Instant now) const {
    const auto entry = entries_.find(key_of(address));
    return entry == entries_.end() ? now : entry->second.started + limits::web_token_window;
}

std::string token_in(const std::string& authorization) {
    const auto space = authorization.find(' ');
    if (space == std::string::npos) return {};
    const std::string scheme = lower(std::string_view(authorization).substr(0, space));
    const std::string value(trim(std::string_view(authorization).substr(space)));
    if (scheme == "bearer") return value;
    if (scheme != "basic" || value.size() % 4 != 0) return {};
    std::vector<unsigned char> decoded(value.size() / 4 * 3 + 1);
    const int length =
        EVP_DecodeBlock(decoded.data(), reinterpret_cast<const unsigned char*>(value.data()),
                        static_cast<int>(value.size()));
    if (length < 0) return {};
    std::string text(decoded.begin(), decoded.begin() + length);
    // EVP_DecodeBlock counts the padding as zero bytes.
    for (std::size_t i = value.size(); i > 0 && value[i - 1] == '=' && !text.empty(); --i)
        text.pop_back();
    const auto colon = text.find(':');
    return colon == std::string::npos ? std::string() : text.substr(colon + 1);
}

}  // namespace rpic
