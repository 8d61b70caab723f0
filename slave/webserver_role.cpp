#include "slave/webserver_role.hpp"

#include "common/errors.hpp"
#include "common/limits.hpp"
#include "common/log.hpp"
#include "common/sleep.hpp"
#include "common/until_first_failure.hpp"

namespace rpic {

WebserverRole::WebserverRole(const asio::any_io_executor& executor, const SlaveOptions& options,
                             const Identity& identity)
    : view_(executor),
      influx_(options.influx, view_),
      server_(executor, options.web, view_, access(identity)),
      answered_(executor) {
    view_.trouble = "not connected to the master yet";
    if (const auto fingerprint = server_.certificate_fingerprint(); !fingerprint.empty())
        log_info("the web page is there with HTTPS too; SHA-256 fingerprint of its certificate: " +
                 fingerprint);
}

MasterAccess WebserverRole::access(const Identity& identity) {
    MasterAccess master;
    master.check_token = [this](std::string token) { return check_token(std::move(token)); };
    master.target = [this] { return master_; };
    master.own_key = [&identity] { return identity.key(); };
    return master;
}

void WebserverRole::on_joined(Connection& link, const HostPort& master, const Welcome&) {
    link_ = &link;
    master_ = master;
    first_picture_ = true;
    view_.master = format_host_port(master.host, master.port);
    link.send(Watch{});
}

void WebserverRole::on_message(const ToNode& message) {
    std::visit([this](const auto& m) { take(m); }, message);
}

void WebserverRole::take(const NodesChanged& changed) {
    if (first_picture_) view_.begin_anew();
    first_picture_ = false;
    const auto now = Clock::now();
    for (const auto& node : changed.nodes) view_.put_node(node, now);
    for (const auto& id : changed.gone) view_.forget_node(id);
    if (changed.complete) {
        view_.starting = false;
        view_.connected = true;
        view_.trouble.clear();
        view_.touch_master();
    }
    view_.updated = now;
    view_.touch();
}

void WebserverRole::take(const MasterChanged& changed) {
    view_.master_view = changed.master;
    view_.touch_master();
    view_.updated = Clock::now();
    view_.touch();
}

void WebserverRole::take(const JobsChanged& changed) {
    for (const auto& id : changed.gone) view_.forget_job(id);
    for (const auto& job : changed.jobs) view_.put_job(job);
    view_.updated = Clock::now();
    view_.touch();
}

void WebserverRole::take(const RunsChanged& changed) {
    const auto now = Clock::now();
    if (changed.anew) view_.forget_runs();
    for (const auto& run : changed.runs) view_.put_run(run, now);
    view_.skipped_runs = changed.skipped;
    view_.updated = now;
    view_.touch();
}

void WebserverRole::take(const EventsHappened& happened) {
    for (const auto& event : happened.events) view_.put_event(event);
    view_.updated = Clock::now();
    view_.touch();
}

void WebserverRole::take(const MetricsChanged& changed) {
    view_.metrics = changed;
}

void WebserverRole::take(const TokenChecked& checked) {
    const auto question = questions_.find(checked.id);
    if (question == questions_.end()) return;  // nobody waits for it any more
    TokenRole who;
    who.role = checked.role;
    who.name = checked.name;
    question->second = who;
    answered_.notify();
}

void WebserverRole::on_disconnected(std::string_view master, std::string_view reason) {
    link_ = nullptr;
    master_.reset();
    questions_.clear();
    answered_.notify();
    view_.starting = false;
    view_.connected = false;
    view_.master = master;
    view_.trouble = reason;
    view_.touch_master();
    view_.touch();
}

asio::awaitable<void> WebserverRole::run() {
    co_await until_first_failure(server_.run(), influx_.run());
}

/// Waits until the question has its answer, or is no more because the link has gone.
asio::awaitable<void> WebserverRole::wait_for_answer(std::int64_t id) {
    auto seen = answered_.count();
    for (;;) {
        const auto question = questions_.find(id);
        if (question == questions_.end() || question->second) co_return;
        seen = co_await answered_.wait(seen);
    }
}

asio::awaitable<TokenRole> WebserverRole::check_token(std::string token) {
    if (link_ == nullptr) throw DisconnectionError("there is no link to the master");
    CheckToken message;
    message.id = ++checks_;
    message.token = token;
    link_->send(message);
    questions_[message.id].reset();
    // Taken back however this ends, so that answers which nobody fetches are not kept.
    const Question question(*this, message.id);
    co_await until_first_failure(wait_for_answer(message.id), sleep_for(limits::connect_time));
    const auto answer = questions_.find(message.id);
    if (answer == questions_.end() || !answer->second)
        throw DisconnectionError("the master did not answer");
    co_return *answer->second;
}

}  // namespace rpic
