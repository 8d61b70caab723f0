#include "slave/web/web_server.hpp"

#include <unistd.h>

#include <algorithm>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <exception>
#include <list>

#include "common/errors.hpp"
#include "common/log.hpp"
#include "common/port_owner.hpp"
#include "common/sleep.hpp"
#include "common/text.hpp"
#include "common/until_first_failure.hpp"
#include "slave/web/certificate.hpp"
#include "slave/web/web_session.hpp"

namespace rpic {

namespace asio = boost::asio;
using asio::awaitable;
using asio::ip::tcp;
using boost::system::error_code;

namespace {

std::string machine_hostname() {
    char name[256] = {};
    if (::gethostname(name, sizeof name - 1) != 0) return {};
    return lower(name);
}

asio::ip::address parse_bind(const std::string& text) {
    if (text == "localhost") return asio::ip::address_v4::loopback();
    std::string literal = text;
    if (literal.starts_with('[') && literal.ends_with(']'))
        literal = literal.substr(1, literal.size() - 2);
    error_code error;
    const auto address = asio::ip::make_address(literal, error);
    if (error)
        throw ConfigError("the web page cannot listen on \"" + printable(text, limits::name_chars) +
                          "\", which is not an IP address (--web-bind)");
    return address;
}

error_code listen_on(tcp::acceptor& acceptor, const tcp::endpoint& endpoint, bool both_families) {
    error_code error;
    if (acceptor.is_open()) acceptor.close(error);
    acceptor.open(endpoint.protocol(), error);
    if (!error) acceptor.set_option(tcp::acceptor::reuse_address(true), error);
    if (!error && endpoint.protocol() == tcp::v6())
        acceptor.set_option(asio::ip::v6_only(!both_families), error);
    if (!error) acceptor.bind(endpoint, error);
    if (!error) acceptor.listen(static_cast<int>(limits::web_connections), error);
    return error;
}

void listen_or_throw(tcp::acceptor& acceptor, const WebOptions& options) {
    error_code error;
    std::string where = options.bind;
    if (options.bind.empty()) {
        where = "every address";
        error = listen_on(acceptor, {tcp::v6(), options.port}, true);
        // A kernel without IPv6 still has IPv4.
        if (error == asio::error::address_family_not_supported)
            error = listen_on(acceptor, {tcp::v4(), options.port}, false);
    } else {
        error = listen_on(acceptor, {parse_bind(options.bind), options.port}, false);
    }
    if (!error) return;
    std::string owner;
    if (error == asio::error::address_in_use) owner = port_owner(options.port);
    if (!owner.empty()) owner = " by " + owner;
    throw ConfigError("the web page cannot listen on " + where + ", port " +
                      std::to_string(options.port) + ": " + error.message() + owner +
                      " (--web-bind, --web-port)");
}

}  // namespace

class WebServer::Impl {
  public:
    Impl(asio::any_io_executor executor, WebOptions options, ClusterView& view,
         MasterAccess master);

    awaitable<void> run();

    std::uint16_t port() const { return shared_.host_rule.port; }
    std::string fingerprint() const { return fingerprint_; }
    WebCounters counters() const;

  private:
    using Sessions = std::list<WebSession>;

    void use_certificate();
    bool is_own(const asio::ip::address& address) const;
    bool has_room_for(const tcp::endpoint& peer);
    awaitable<void> accept_loop();
    void start_session(tcp::socket socket, tcp::endpoint peer);
    void finish_session(Sessions::iterator session, std::exception_ptr failure);
    awaitable<void> tick_loop();

    asio::any_io_executor executor_;
    WebOptions options_;
    WebShared shared_;
    std::string fingerprint_;
    tcp::acceptor acceptor_;
    Sessions sessions_;
    Wakeup changed_;  // a session came or went
};

WebServer::Impl::Impl(asio::any_io_executor executor, WebOptions options, ClusterView& view,
                      MasterAccess master)
    : executor_(executor),
      options_(std::move(options)),
      shared_{view,
              TokenGate(executor, std::move(master.check_token)),
              EventFeed(view),
              ViewTexts(view),
              Logins(),
              MasterDesk(std::move(master.target), std::move(master.own_key)),
              HostRule{},
              std::nullopt,
              options_.times,
              WebCounters{}},
      acceptor_(executor),
      changed_(executor) {
    listen_or_throw(acceptor_, options_);
    HostRule& rule = shared_.host_rule;
    rule.port = acceptor_.local_endpoint().port();
    rule.beyond_loopback = !is_own(acceptor_.local_endpoint().address());
    for (const std::string& host : options_.allowed_hosts) rule.names.push_back(lower(host));
    if (!rule.beyond_loopback) return;
    const std::string hostname = machine_hostname();
    if (!hostname.empty()) rule.names.insert(rule.names.end(), {hostname, hostname + ".local"});
    use_certificate();
}

void WebServer::Impl::use_certificate() {
    const WebCertificate made = load_certificate(options_.state_dir, machine_hostname());
    asio::ssl::context& context = shared_.tls.emplace(asio::ssl::context::tls_server);
    context.set_options(asio::ssl::context::default_workarounds | asio::ssl::context::no_tlsv1 |
                        asio::ssl::context::no_tlsv1_1);
    SSL_CTX_set_mode(context.native_handle(), SSL_MODE_RELEASE_BUFFERS);
    context.use_certificate(asio::buffer(made.certificate_pem), asio::ssl::context::pem);
    context.use_private_key(asio::buffer(made.key_pem), asio::ssl::context::pem);
    fingerprint_ = made.fingerprint;
}

bool WebServer::Impl::is_own(const asio::ip::address& address) const {
    return options_.is_loopback ? options_.is_loopback(address) : is_loopback(address);
}

WebCounters WebServer::Impl::counters() const {
    WebCounters counters = shared_.counters;
    counters.dropped_viewers = shared_.feed.dropped();
    return counters;
}

awaitable<void> WebServer::Impl::run() {
    std::exception_ptr failure;
    try {
        auto accepting = accept_loop();
        auto ticking = tick_loop();
        co_await until_first_failure(std::move(accepting), std::move(ticking));
    } catch (...) {
        failure = std::current_exception();
    }
    // What was cancelled is the serving; the cleaning up after it has to run to its end.
    co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
    error_code ignored;
    acceptor_.close(ignored);
    for (WebSession& session : sessions_) session.close("the webserver stops");
    while (!sessions_.empty()) {
        const std::uint64_t seen = changed_.count();
        co_await changed_.wait(seen);
    }
    if (failure) std::rethrow_exception(failure);
}

awaitable<void> WebServer::Impl::accept_loop() {
    for (;;) {
        while (sessions_.size() >= limits::web_connections) {
            const std::uint64_t seen = changed_.count();
            co_await changed_.wait(seen);
        }
        error_code error;
        tcp::endpoint peer;
        auto token = asio::redirect_error(asio::use_awaitable, error);
        tcp::socket socket = co_await acceptor_.async_accept(peer, token);
        if (!error) {
            start_session(std::move(socket), peer);
            continue;
        }
        if (error == asio::error::operation_aborted) throw boost::system::system_error(error);
        // Mostly EMFILE: those who are connected must not suffer, so wait until some have gone.
        log_peer(Severity::warning, "web-accept", "the web page",
                 "cannot accept a connection: " + error.message());
        co_await sleep_for(std::chrono::milliseconds(200));
    }
}

bool WebServer::Impl::has_room_for(const tcp::endpoint& peer) {
    std::size_t beyond = 0;
    std::size_t same = 0;
    for (const WebSession& session : sessions_) {
        if (session.trusted()) continue;
        ++beyond;
        if (session.peer_address() == peer.address()) ++same;
    }
    return beyond < limits::web_connections_beyond && same < limits::web_connections_per_address;
}

void WebServer::Impl::start_session(tcp::socket socket, tcp::endpoint peer) {
    const bool trusted = is_own(peer.address());
    if (!trusted && !has_room_for(peer)) {
        ++shared_.counters.refused_connections;
        log_peer(Severity::warning, "web-full", peer.address().to_string(),
                 "has too many connections to the web page, or all have together");
        return;
    }
    ++shared_.counters.connections;
    sessions_.emplace_back(shared_, std::move(socket), std::move(peer), trusted);
    const auto session = std::prev(sessions_.end());
    auto finished = [this, session](std::exception_ptr failure) {
        finish_session(session, std::move(failure));
    };
    asio::co_spawn(executor_, session->run(),
                   asio::bind_cancellation_slot(session->slot(), finished));
    changed_.notify();
}

void WebServer::Impl::finish_session(Sessions::iterator session, std::exception_ptr failure) {
    try {
        if (failure) std::rethrow_exception(failure);
    } catch (const DisconnectionError& error) {
        log_debug("web: " + session->peer_text() + ": " + error.what());
    } catch (const std::exception& error) {
        log_peer(Severity::error, "web-failure", session->peer_text(), error.what());
    }
    // Not here: the coroutine that has just ended still refers to the session's slot.
    asio::post(executor_, [this, session] {
        sessions_.erase(session);
        changed_.notify();
    });
}

/// Enforces the deadlines of all sessions and feeds those who watch; sleeps without any session.
awaitable<void> WebServer::Impl::tick_loop() {
    for (;;) {
        const Instant now = Clock::now();
        for (WebSession& session : sessions_) session.check_deadline(now);
        shared_.feed.tick(now);
        while (sessions_.empty()) {
            const std::uint64_t seen = changed_.count();
            co_await changed_.wait(seen);
        }
        co_await sleep_for(limits::web_event_interval);
    }
}

WebServer::WebServer(asio::any_io_executor executor, WebOptions options, ClusterView& view,
                     MasterAccess master)
    : impl_(std::make_unique<Impl>(std::move(executor), std::move(options), view,
                                   std::move(master))) {}

WebServer::~WebServer() = default;

std::uint16_t WebServer::port() const {
    return impl_->port();
}
std::string WebServer::certificate_fingerprint() const {
    return impl_->fingerprint();
}
WebCounters WebServer::counters() const {
    return impl_->counters();
}
awaitable<void> WebServer::run() {
    return impl_->run();
}

}  // namespace rpic
