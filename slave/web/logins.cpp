#include "slave/web/logins.hpp"

#include <openssl/crypto.h>

#include <algorithm>
#include <utility>

#include "common/keys.hpp"
#include "common/limits.hpp"
#include "common/text.hpp"

namespace rpic {

std::string Logins::begin(std::string token, Instant now) {
    std::erase_if(logins_, [now](const auto& entry) {
        return now - entry.second.used >= limits::web_login_time;
    });
    if (logins_.size() >= limits::web_logins)
        logins_.erase(std::min_element(
            logins_.begin(), logins_.end(),
            [](const auto& a, const auto& b) { return a.second.used < b.second.used; }));
    const auto number = random_hex(32);
    Login login;
    login.token = std::move(token);
    login.csrf = random_hex(16);
    login.used = now;
    logins_[number] = std::move(login);
    return number;
}

const Logins::Login* Logins::find(std::string_view number, Instant now) {
    const auto found = logins_.find(number);
    if (found == logins_.end()) return nullptr;
    if (now - found->second.used >= limits::web_login_time) {
        logins_.erase(found);
        return nullptr;
    }
    found->second.used = now;
    return &found->second;
}

void Logins::end(std::string_view number) {
    const auto found = logins_.find(number);
    if (found != logins_.end()) logins_.erase(found);
}

std::string cookie_in(std::string_view field, std::string_view name) {
    for (const auto& part : split(field, ';')) {
        const auto equals = part.find('=');
        if (equals != std::string::npos && part.substr(0, equals) == name)
            return part.substr(equals + 1);
    }
    return {};
}

bool equal_secrets(std::string_view one, std::string_view other) {
    return one.size() == other.size() && !one.empty() &&
           CRYPTO_memcmp(one.data(), other.data(), one.size()) == 0;
}

}  // namespace rpic
