#include "slave/web/router.hpp"

#include <algorithm>

#include "common/text.hpp"
#include "slave/web/handlers.hpp"

namespace rpic {

namespace {

using Body = Route::Body;

/// The parts between the slashes; a path that ends with one has an empty last part.
std::vector<std::string_view> parts_of(std::string_view path) {
    std::vector<std::string_view> parts;
    if (path.starts_with('/')) path.remove_prefix(1);
    for (;;) {
        const auto end = path.find('/');
        parts.push_back(path.substr(0, end));
        if (end == std::string_view::npos) return parts;
        path.remove_prefix(end + 1);
    }
}

std::string decoded(std::string_view part) {
    const auto text = percent_decoded(part);
    if (!text) throw ProblemError(400, "the path of the request is not percent-encoded UTF-8");
    return *text;
}

bool is_parameter(std::string_view part) {
    return part.starts_with('{');
}

bool matches(const std::vector<std::string_view>& pattern,
             const std::vector<std::string_view>& parts) {
    const bool open = pattern.back() == "{path}";
    if (open ? parts.size() < pattern.size() : parts.size() != pattern.size()) return false;
    for (std::size_t i = 0; i < pattern.size(); ++i) {
        if (is_parameter(pattern[i]) ? parts[i].empty() : pattern[i] != parts[i]) return false;
    }
    return true;
}

std::map<std::string, std::string, std::less<>> parameters_of(
    const std::vector<std::string_view>& pattern, const std::vector<std::string_view>& parts) {
    std::map<std::string, std::string, std::less<>> parameters;
    for (std::size_t i = 0; i < pattern.size(); ++i) {
        if (!is_parameter(pattern[i])) continue;
        auto value = decoded(parts[i]);
        if (pattern[i] == "{path}")
            for (std::size_t rest = i + 1; rest < parts.size(); ++rest)
                value += '/' + decoded(parts[rest]);
        parameters[std::string(pattern[i].substr(1, pattern[i].size() - 2))] = std::move(value);
    }
    return parameters;
}

int rank(std::string_view role) {
    if (role == "viewer") return 1;
    if (role == "submit") return 2;
    return role == "admin" ? 3 : 0;
}

}  // namespace

const std::vector<Route>& routes() {
    using namespace api;
    static const std::vector<Route> table = {
        {"GET", "/api/openapi.json", "none", Body::none, get_open_api},
        {"GET", "/api/v1/whoami", "none", Body::none, who_am_i},
        {"POST", "/api/v1/login", "none", Body::json, login},
        {"POST", "/api/v1/logout", "none", Body::none, logout},
        {"GET", "/api/v1/state", "viewer", Body::none, get_state},
        {"GET", "/api/v1/events", "viewer", Body::none, stream_events},
        {"GET", "/api/v1/master", "viewer", Body::none, get_master},
        {"GET", "/api/v1/nodes", "viewer", Body::none, list_nodes},
        {"GET", "/api/v1/history", "viewer", Body::none, get_history},
        {"GET", "/api/v1/nodes/{node}", "viewer", Body::none, get_node},
        {"POST", "/api/v1/nodes/{node}/drain", "admin", Body::optional_json, drain_node},
        {"POST", "/api/v1/nodes/{node}/undrain", "admin", Body::none, undrain_node},
        {"PATCH", "/api/v1/nodes/{node}/labels", "admin", Body::json, label_node},
        {"GET", "/api/v1/join-key", "admin", Body::none, get_join_key},
        {"GET", "/api/v1/jobs", "viewer", Body::none, list_jobs},
        {"POST", "/api/v1/jobs", "submit", Body::json, submit_job},
        {"GET", "/api/v1/jobs/{job}", "viewer", Body::none, get_job},
        {"GET", "/api/v1/jobs/{job}/explain", "viewer", Body::none, explain_job},
        {"POST", "/api/v1/jobs/{job}/cancel", "submit", Body::optional_json, cancel_job},
        {"POST", "/api/v1/jobs/{job}/retry", "submit", Body::optional_json, retry_job},
        {"POST", "/api/v1/jobs/{job}/hold", "submit", Body::none, hold_job},
        {"POST", "/api/v1/jobs/{job}/release", "submit", Body::none, release_job},
        {"PUT", "/api/v1/jobs/{job}/priority", "submit", Body::json, set_priority},
        {"GET", "/api/v1/jobs/{job}/files", "viewer", Body::none, list_input_files},
        {"GET", "/api/v1/jobs/{job}/files/{path}", "viewer", Body::none, get_input_file},
        {"GET", "/api/v1/jobs/{job}/tasks", "viewer", Body::none, list_tasks},
        {"GET", "/api/v1/jobs/{job}/tasks/{task}", "viewer", Body::none, get_task},
        {"GET", "/api/v1/jobs/{job}/tasks/{task}/log", "viewer", Body::none, get_log},
        {"GET", "/api/v1/jobs/{job}/tasks/{task}/log/events", "viewer", Body::none, follow_log},
        {"GET", "/api/v1/jobs/{job}/tasks/{task}/files", "viewer", Body::none, list_output_files},
        {"GET", "/api/v1/jobs/{job}/tasks/{task}/files/{path}", "viewer", Body::none,
         get_output_file},
        {"PUT", "/api/v1/files/{file}", "submit", Body::bytes, put_file},
        {"GET", "/metrics", "viewer", Body::none, get_metrics},
    };
    return table;
}

Routed find_route(std::string_view method, std::string_view path) {
    Routed routed;
    const auto parts = parts_of(path);
    if (method == "HEAD") method = "GET";
    for (const auto& route : routes()) {
        const auto pattern = parts_of(route.path);
        if (!matches(pattern, parts)) continue;
        routed.allow += (routed.allow.empty() ? "" : ", ") + std::string(route.method);
        if (std::string_view(route.method) == "GET") routed.allow += ", HEAD";
        if (method != route.method || routed.route != nullptr) continue;
        routed.route = &route;
        routed.parameters = parameters_of(pattern, parts);
    }
    return routed;
}

bool web_role_allows(std::string_view role, std::string_view needed) {
    return needed == "none" || (rank(role) > 0 && rank(role) >= rank(needed));
}

}  // namespace rpic
