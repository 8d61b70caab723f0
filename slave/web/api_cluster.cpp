#include <algorithm>

#include "common/limits.hpp"
#include "common/sleep.hpp"
#include "common/text.hpp"
#include "common/until_first_failure.hpp"
#include "slave/web/handlers.hpp"
#include "slave/web/json_body.hpp"
#include "slave/web/metrics_text.hpp"
#include "slave/web/view_json.hpp"
#include "slave/web/waiting.hpp"

/// The cluster as the webserver knows it, and its nodes.
namespace rpic::api {

namespace {

const NodeView& node_named(const Exchange& exchange) {
    const auto& name = exchange.parameter("node");
    for (const auto& [id, node] : exchange.services.view.nodes)
        if (id == name || node.name == name) return node;
    throw ProblemError(404, "there is no node with the name or id \"" +
                                printable(name, limits::name_chars) +
                                "\": /api/v1/nodes lists them");
}

/// Whether the change can be seen in what is known of the node.
bool shows(const NodeView& node, const ChangeNode& change) {
    if (change.drain && node.draining != *change.drain) return false;
    if (change.clear_quarantine && node.quarantined) return false;
    return std::all_of(change.labels.begin(), change.labels.end(), [&](const auto& wanted) {
        const auto label = node.labels.find(wanted.first);
        if (wanted.second.empty()) return label == node.labels.end();
        return label != node.labels.end() && label->second == wanted.second;
    });
}

/// Asks the master for a change of a node, and tells how the node is then.
awaitable<Answer> change_node(Exchange& exchange, ChangeNode request) {
    co_await wait_for_first_picture(exchange.services.view);
    request.node = node_named(exchange).id;
    auto visit = co_await exchange.visit();
    visit->send(request);
    auto reply = co_await visit->reply();
    take_answer<Done>(std::move(reply));
    // The master tells the view of it a moment later.
    auto& view = exchange.services.view;
    const auto deadline = Clock::now() + limits::web_told_time;
    while (!shows(node_named(exchange), request) && Clock::now() < deadline) {
        const auto seen = view.version_of(ClusterView::Part::nodes);
        co_await wait_for_change(view, ClusterView::Part::nodes, seen, deadline - Clock::now());
    }
    co_return json_answer(node_json(view, node_named(exchange), Clock::now()));
}

}  // namespace

awaitable<Answer> get_state(Exchange& exchange) {
    const auto etag = co_await wait_for_view(exchange, std::nullopt);
    const auto& services = exchange.services;
    auto text = services.texts.state(services.feed.last_id(), Clock::now());
    auto answer = json_answer(std::move(text));
    co_return tagged(exchange.request, std::move(answer), etag);
}

awaitable<Answer> stream_events(Exchange&) {
    Answer answer;
    answer.fields.emplace_back("Content-Type", "text/event-stream");
    answer.fields.emplace_back("Cache-Control", "no-store");
    answer.events = true;
    co_return answer;
}

awaitable<Answer> get_master(Exchange& exchange) {
    const auto etag = co_await wait_for_view(exchange, ClusterView::Part::master);
    auto answer = json_answer(master_json(exchange.services.view, Clock::now()));
    co_return tagged(exchange.request, std::move(answer), etag);
}

awaitable<Answer> list_nodes(Exchange& exchange) {
    const auto etag = co_await wait_for_view(exchange, ClusterView::Part::nodes);
    auto answer = json_answer(exchange.services.texts.nodes(Clock::now()));
    co_return tagged(exchange.request, std::move(answer), etag);
}

awaitable<Answer> get_history(Exchange& exchange) {
    co_return json_answer(exchange.services.texts.history(Clock::now()));
}

awaitable<Answer> get_node(Exchange& exchange) {
    co_await wait_for_first_picture(exchange.services.view);
    node_named(exchange);  // or there is nothing to wait for
    const auto etag = co_await wait_for_view(exchange, ClusterView::Part::nodes);
    const auto& node = node_named(exchange);
    auto answer = json_answer(node_json(exchange.services.view, node, Clock::now()));
    co_return tagged(exchange.request, std::move(answer), etag);
}

awaitable<Answer> drain_node(Exchange& exchange) {
    const auto body = co_await json_body(exchange);
    check_members(body, {"deadline"});
    ChangeNode request;
    request.drain = true;
    if (body.contains("deadline")) {
        const auto deadline = duration_member(body, "deadline");
        request.deadline_seconds = to_seconds(deadline);
    }
    Answer answer = co_await change_node(exchange, request);
    co_return answer;
}

awaitable<Answer> undrain_node(Exchange& exchange) {
    ChangeNode request;
    request.drain = false;
    request.clear_quarantine = true;
    Answer answer = co_await change_node(exchange, request);
    co_return answer;
}

awaitable<Answer> label_node(Exchange& exchange) {
    const auto body = co_await json_body(exchange);
    ChangeNode request;
    for (const auto& member : body) {
        const std::string label(member.key());
        const auto* text = member.value().if_string();
        const bool good = !label.empty() && node_name(label) == label &&
                          (text != nullptr || member.value().is_null());
        if (!good)
            throw ProblemError(400, "the label \"" + printable(label, limits::name_chars) +
                                        "\": expected a name of letters, digits, '.', '_' and '-', "
                                        "and a text, or null to remove it");
        auto& value = request.labels[label];
        if (text != nullptr) value = std::string(*text);
        if (printable(value, limits::text_chars) != value)
            throw ProblemError(400, "the value of the label " + label +
                                        " is too long or holds control characters");
    }
    if (request.labels.empty())
        throw ProblemError(400, "expected {\"LABEL\": \"value\"}, or null to remove the label");
    Answer answer = co_await change_node(exchange, request);
    co_return answer;
}

awaitable<Answer> get_join_key(Exchange& exchange) {
    auto visit = co_await exchange.visit();
    visit->send(GetJoinKey{});
    auto reply = co_await visit->reply();
    const auto key = take_answer<JoinKey>(std::move(reply));
    const auto& view = exchange.services.view;
    auto address = parse_host_port(view.master, 0).value_or(HostPort{});
    // The address of a master on the webserver's own machine means another machine elsewhere.
    const bool own =
        address.host.starts_with("127.") || address.host == "::1" || address.host == "localhost";
    if (own && view.master_view) address.host = view.master_view->machine.hostname;
    json::object object;
    object["version"] = 1;
    object["join_key"] = key.join_key;
    object["address"] = format_host_port(address.host, address.port);
    co_return json_answer(json::serialize(object));
}

awaitable<Answer> get_metrics(Exchange& exchange) {
    Answer answer;
    answer.fields.emplace_back("Content-Type", "text/plain; version=0.0.4; charset=utf-8");
    answer.fields.emplace_back("Cache-Control", "no-store");
    answer.text =
        metrics_text(exchange.services.view, exchange.services.feed.viewers(), Clock::now());
    co_return answer;
}

}  // namespace rpic::api
