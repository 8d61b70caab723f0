#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "slave/web/event_feed.hpp"
#include "slave/web/host_rule.hpp"
#include "slave/web/http.hpp"
#include "slave/web/token_gate.hpp"
#include "slave/web/web_server.hpp"
#include "slave/web/web_stream.hpp"

namespace rpic {

/// What all sessions of one web server share.
struct WebShared {
    ClusterView& view;
    TokenGate gate;
    EventFeed feed;
    HostRule host_rule;
    std::optional<boost::asio::ssl::context> tls;  // only beyond loopback
    WebTimes times;
    WebCounters counters;
};

/// One connection of a browser: owns it from the accept to the end.
class WebSession {
  public:
    /// `trusted`: the peer is on this machine and needs neither HTTPS nor a token.
    WebSession(WebShared& shared, boost::asio::ip::tcp::socket socket,
               boost::asio::ip::tcp::endpoint peer, bool trusted);

    /// Answers requests until the connection ends; throws DisconnectionError with the reason.
    boost::asio::awaitable<void> run();

    /// Ends run(), whatever it waits for.
    void close(std::string_view reason);

    /// Closes if what it waits for takes too long.
    void check_deadline(Instant now);

    boost::asio::cancellation_slot slot() { return cancel_.slot(); }
    boost::asio::ip::address address() const { return peer_.address(); }
    std::string peer_text() const;
    bool trusted() const { return trusted_; }

  private:
    boost::asio::awaitable<void> serve();
    boost::asio::awaitable<void> choose_encryption();
    boost::asio::awaitable<std::optional<Request>> read_request();
    boost::asio::awaitable<Answer> answer(Request request);
    boost::asio::awaitable<Answer> admit_and_route(Request request);
    boost::asio::awaitable<void> send_events(std::string authorization);
    boost::asio::awaitable<void> write(std::string_view bytes);
    boost::asio::awaitable<void> linger();

    std::optional<Answer> judge_hosts(const Request& request);
    Answer redirect_to_https(const Request& request) const;
    Answer refusal(Admission admission, const Request& request);
    void expect_within(Duration time, const char* what);

    WebShared& shared_;
    WebStream stream_;
    boost::asio::ip::tcp::endpoint peer_;
    boost::asio::ip::address local_;
    bool trusted_;
    bool admitted_ = false;  // has proved that it may read
    RequestReader reader_;
    std::optional<EventFeed::Viewer> viewer_;  // while it watches the events
    std::string input_;
    Instant deadline_ = Instant::max();
    const char* waits_for_ = "";
    std::string closed_because_;  // by this side
    boost::asio::cancellation_signal cancel_;
};

}  // namespace rpic
