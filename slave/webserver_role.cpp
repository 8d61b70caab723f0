#include "slave/webserver_role.hpp"

#include "common/limits.hpp"
#include "common/sleep.hpp"
#include "common/until_first_failure.hpp"

namespace rpic {

namespace {

asio::awaitable<void> wait_for_answer(const std::map<std::int64_t, std::string>& answers,
                                      std::int64_t id, Wakeup& answered) {
    auto seen = answered.count();
    while (!answers.contains(id)) seen = co_await answered.wait(seen);
}

}  // namespace

WebserverRole::WebserverRole(const asio::any_io_executor& executor, const SlaveOptions& options)
    : view_(executor),
      server_(executor, options.web, view_,
              [this](std::string token) { return check_token(std::move(token)); }),
      answered_(executor) {
    view_.trouble = "not connected to the master yet";
}

void WebserverRole::on_joined(Connection& link, std::string_view master) {
    link_ = &link;
    first_picture_ = true;
    view_.master = master;
    link.send(Watch{});
}

void WebserverRole::on_message(const ToNode& message) {
    std::visit([this](const auto& m) { take(m); }, message);
}

void WebserverRole::take(const NodesChanged& changed) {
    if (first_picture_) view_.nodes.clear();
    first_picture_ = false;
    for (const auto& node : changed.nodes) view_.nodes[node.id] = node;
    for (const auto& id : changed.gone) view_.nodes.erase(id);
    if (changed.complete) {
        view_.connected = true;
        view_.trouble.clear();
    }
    view_.updated = Clock::now();
    view_.touch();
}

void WebserverRole::take(const MasterChanged& changed) {
    view_.master_view = changed.master;
    view_.updated = Clock::now();
    view_.touch();
}

void WebserverRole::take(const TokenChecked& checked) {
    checked_[checked.id] = checked.role;
    answered_.notify();
}

void WebserverRole::on_disconnected(std::string_view master, std::string_view reason) {
    link_ = nullptr;
    checked_.clear();
    view_.connected = false;
    view_.master = master;
    view_.trouble = reason;
    view_.touch();
}

asio::awaitable<void> WebserverRole::run() {
    co_await server_.run();
}

/// Asks the master; without a link, or without an answer in time, a token is worth nothing.
asio::awaitable<std::string> WebserverRole::check_token(std::string token) {
    if (link_ == nullptr) co_return std::string{};
    CheckToken question;
    question.id = ++checks_;
    question.token = token;
    link_->send(question);
    co_await until_first_failure(wait_for_answer(checked_, question.id, answered_),
                                 sleep_for(limits::connect_time));
    const auto answer = checked_.find(question.id);
    if (answer == checked_.end()) co_return std::string{};
    std::string role = std::move(answer->second);
    checked_.erase(answer);
    co_return role;
}

}  // namespace rpic
