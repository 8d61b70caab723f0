#include "common/keys.hpp"
#include "slave/web/asset_answer.hpp"
#include "slave/web/caller.hpp"
#include "slave/web/handlers.hpp"
#include "slave/web/json_body.hpp"

/// Who is there: login, logout, and what a request may do.
namespace rpic::api {

namespace {

std::string who_json(const Caller& caller) {
    json::object object;
    object["version"] = 1;
    object["role"] = nullptr;
    if (!caller.role.empty()) object["role"] = caller.role;
    object["name"] = nullptr;
    if (!caller.token.empty()) object["name"] = caller.name;
    object["session"] = !caller.csrf.empty();
    object["csrf"] = nullptr;
    if (!caller.csrf.empty()) object["csrf"] = caller.csrf;
    return json::serialize(object);
}

std::string cookie_field(const std::string& number, bool encrypted) {
    std::string field =
        std::string(login_cookie) + "=" + number + "; Path=/; HttpOnly; SameSite=Strict";
    if (number.empty()) field += "; Max-Age=0";
    if (encrypted) field += "; Secure";
    return field;
}

}  // namespace

awaitable<Answer> get_open_api(Exchange& exchange) {
    co_return asset_answer(exchange.request, *find_asset("/api/openapi.json"));
}

awaitable<Answer> who_am_i(Exchange& exchange) {
    Caller caller;
    if (exchange.trusted) caller.role = "viewer";
    try {
        caller = co_await identify(exchange.services, exchange.request, exchange.wire.address(),
                                   exchange.trusted);
    } catch (const ProblemError& error) {
        if (error.status != 401) throw;
        caller = {};
    }
    co_return json_answer(who_json(caller));
}

awaitable<Answer> login(Exchange& exchange) {
    const auto body = co_await json_body(exchange);
    check_members(body, {"token"});
    Request request = exchange.request;
    std::string token;
    take_member(body, "token", token);
    if (token.empty())
        throw ProblemError(400,
                           "expected {\"token\": \"...\"}, as `rpicluster token create` prints it");
    request.authorization = "Bearer " + token;
    auto caller = co_await identify(exchange.services, request, exchange.wire.address(), false);
    auto& logins = exchange.services.logins;
    logins.end(cookie_in(request.cookie, login_cookie));
    const auto number = logins.begin(caller.token, Clock::now());
    caller.csrf = logins.find(number, Clock::now())->csrf;
    auto answer = json_answer(who_json(caller));
    answer.fields.emplace_back("Set-Cookie", cookie_field(number, exchange.wire.encrypted()));
    co_return answer;
}

awaitable<Answer> logout(Exchange& exchange) {
    const auto number = cookie_in(exchange.request.cookie, login_cookie);
    auto& logins = exchange.services.logins;
    if (const auto* login = logins.find(number, Clock::now())) {
        Caller caller;
        caller.csrf = login->csrf;
        check_intent(exchange.request, caller);
        logins.end(number);
    }
    Answer answer;
    answer.status = 204;
    answer.fields.emplace_back("Cache-Control", "no-store");
    answer.fields.emplace_back("Set-Cookie", cookie_field("", exchange.wire.encrypted()));
    co_return answer;
}

}  // namespace rpic::api
