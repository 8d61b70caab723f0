#pragma once

#include <boost/asio/awaitable.hpp>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "slave/web/exchange.hpp"

/// Which handler answers which request: web/openapi.json as a table.
namespace rpic {

using Handler = boost::asio::awaitable<Answer> (*)(Exchange& exchange);

struct Route {
    enum class Body { none, optional_json, json, bytes };

    const char* method;
    const char* path;  // "{name}" stands for one part of it, a last "{path}" for all that follow
    const char* role;  // the least that is needed: viewer | submit | admin; "none": no token
    Body body;
    Handler handler;
};

const std::vector<Route>& routes();

struct Routed {
    const Route* route = nullptr;  // null: none with this method
    std::map<std::string, std::string, std::less<>> parameters;
    std::string allow;  // the methods of the routes with this path; empty: there is none
};

/// HEAD is routed as GET. Throws ProblemError 400 for a path that is not properly encoded.
Routed find_route(std::string_view method, std::string_view path);

/// Whether `role` may do what needs `needed`.
bool web_role_allows(std::string_view role, std::string_view needed);

}  // namespace rpic
