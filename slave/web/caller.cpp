#include "slave/web/caller.hpp"

#include "common/keys.hpp"
#include "common/text.hpp"
#include "slave/web/attempts.hpp"

namespace rpic {

namespace {

/// As it was made, where a person typed it in lower case or without its dashes.
std::string proper(const std::string& token) {
    const auto key = canonical_key(token);
    return key.empty() ? token : key;
}

[[noreturn]] void refuse(const WebServices& services, Admission admission,
                         const boost::asio::ip::address& address) {
    if (admission == Admission::unknown)
        throw ProblemError(503, "the master cannot be asked about the token now", 5);
    if (admission == Admission::too_many)
        throw ProblemError(429, "too many wrong tokens from this address: wait",
                           static_cast<int>(services.gate.retry_seconds(address)));
    throw ProblemError(401,
                       "the master does not know this token: it is mistyped, expired or "
                       "revoked; `rpicluster token create` makes another");
}

}  // namespace

std::string token_of(const WebServices& services, const Request& request) {
    if (request.authorization) return proper(token_in(*request.authorization));
    const auto number = cookie_in(request.cookie, login_cookie);
    const auto* login = services.logins.find(number, Clock::now());
    return login == nullptr ? std::string() : login->token;
}

boost::asio::awaitable<Caller> identify(const WebServices& services, const Request& request,
                                        boost::asio::ip::address address, bool trusted) {
    Caller caller;
    if (trusted) caller.role = "viewer";
    const auto number = cookie_in(request.cookie, login_cookie);
    const bool by_cookie = !request.authorization;
    std::string token = token_of(services, request);
    // Also on this machine: who means to be somebody must not be taken for a viewer unnoticed.
    if (token.empty() && !by_cookie)
        throw ProblemError(401,
                           "the Authorization field holds no token: expected `Bearer TOKEN`, or "
                           "`Basic` with the token as password; `rpicluster token create` on the "
                           "master makes one");
    if (token.empty()) co_return caller;
    const Admitted admitted = co_await services.gate.admit(token, address);
    // A viewer on this machine needs no token, so a master that is away does not lock it out.
    const bool away = admitted.admission == Admission::unknown;
    if (away && trusted && request.is_read()) co_return caller;
    if (admitted.admission == Admission::refused && by_cookie) {
        services.logins.end(number);
        co_return caller;
    }
    if (admitted.admission != Admission::granted) refuse(services, admitted.admission, address);
    caller.role = admitted.who.role;
    caller.name = admitted.who.name;
    caller.token = std::move(token);
    caller.basic = !by_cookie && lower(*request.authorization).starts_with("basic");
    const auto* login = by_cookie ? services.logins.find(number, Clock::now()) : nullptr;
    if (login != nullptr) caller.csrf = login->csrf;
    co_return caller;
}

void check_same_site(const Request& request) {
    const auto& site = request.fetch_site;
    const bool foreign_site = !site.empty() && site != "same-origin" && site != "none";
    bool foreign_origin = false;
    if (!request.origin.empty()) {
        const auto host = request.hosts.empty() ? std::string() : lower(request.hosts.front());
        const auto origin = lower(request.origin);
        foreign_origin = origin != "http://" + host && origin != "https://" + host;
    }
    if (foreign_site || foreign_origin)
        throw ProblemError(403,
                           "this request was made by a page of another site: only this server's "
                           "own page, and programs, may change something here");
}

void check_intent(const Request& request, const Caller& caller) {
    if (caller.basic)
        throw ProblemError(403,
                           "what changes something needs `Authorization: Bearer TOKEN`, or a "
                           "login: browsers send a password to every page that asks");
    if (!caller.csrf.empty() && !equal_secrets(request.csrf, caller.csrf))
        throw ProblemError(403,
                           "the field X-CSRF-Token is missing or not the one that the login "
                           "gave");
}

}  // namespace rpic
