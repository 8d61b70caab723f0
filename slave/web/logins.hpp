#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "common/clock.hpp"

namespace rpic {

inline constexpr const char* login_cookie = "rpicluster_session";

/// The sessions of browsers that logged in: a random number in a cookie instead of the token, which
/// stays here, in memory alone. limits::web_logins at most; each ends limits::web_login_time after
/// its last use. Pure but for the random numbers.
class Logins {
  public:
    struct Login {
        std::string token;
        std::string csrf;  // what a page of ours knows, and one of a stranger does not
        Instant used{};
    };

    /// Begins one; gives its number.
    std::string begin(std::string token, Instant now);
    /// Null if there is none (any more).
    const Login* find(std::string_view number, Instant now);
    void end(std::string_view number);
    std::size_t size() const { return logins_.size(); }

  private:
    std::map<std::string, Login, std::less<>> logins_;
};

/// The value of a cookie in a Cookie field (RFC 6265); empty if it is not there.
std::string cookie_in(std::string_view field, std::string_view name);

/// Whether two texts are equal, in a time that does not tell where they differ.
bool equal_secrets(std::string_view one, std::string_view other);

}  // namespace rpic
