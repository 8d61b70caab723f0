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

#include "slave/web/assets.hpp"
#include "slave/web/event_feed.hpp"
#include "slave/web/exchange.hpp"
#include "slave/web/host_rule.hpp"
#include "slave/web/http.hpp"
#include "slave/web/router.hpp"
#include "slave/web/token_gate.hpp"
#include "slave/web/web_server.hpp"
#include "slave/web/web_stream.hpp"

namespace rpic {

/// What all sessions of one web server share.
struct WebShared {
    ClusterView& view;
    TokenGate gate;
    EventFeed feed;
    ViewTexts texts;
    Logins logins;
    MasterDesk desk;
    HostRule host_rule;
    std::optional<boost::asio::ssl::context> tls;  // only beyond loopback
    WebTimes times;
    WebCounters counters;

    WebServices services() { return {view, feed, texts, gate, logins, desk}; }
};

/// One connection of a browser: owns it from the accept to the end.
class WebSession final : private Wire {
  public:
    /// `trusted`: the peer is on this machine and needs neither HTTPS nor, unless it is a proxy, a
    /// token.
    WebSession(WebShared& shared, boost::asio::ip::tcp::socket socket,
               boost::asio::ip::tcp::endpoint peer, bool trusted);

    /// Answers requests until the connection ends; throws DisconnectionError with the reason.
    boost::asio::awaitable<void> run();

    /// Ends run(), whatever it waits for.
    void close(std::string_view reason);

    /// Closes if what it waits for takes too long.
    void check_deadline(Instant now);

    boost::asio::cancellation_slot slot() { return cancel_.slot(); }
    boost::asio::ip::address peer_address() const { return peer_.address(); }
    std::string peer_text() const;
    bool trusted() const { return trusted_; }

  private:
    boost::asio::awaitable<void> serve();
    boost::asio::awaitable<void> choose_encryption();
    boost::asio::awaitable<void> read_request();
    boost::asio::awaitable<Answer> answer();
    boost::asio::awaitable<Answer> route();
    boost::asio::awaitable<Answer> call(const Routed& routed);
    boost::asio::awaitable<void> send_answer(const Answer& reply);
    boost::asio::awaitable<void> send_events();
    boost::asio::awaitable<void> send_bytes(std::string_view bytes);
    boost::asio::awaitable<void> linger();

    // Wire: what handlers use.
    boost::asio::awaitable<std::string> body(std::size_t most) override;
    boost::asio::awaitable<std::string> body_part(std::size_t most) override;
    boost::asio::awaitable<bool> begin(Answer head) override;
    boost::asio::awaitable<void> write(std::string bytes) override;
    boost::asio::awaitable<void> end() override;
    void allow(Duration time, const char* what) override { expect_within(time, what); }
    bool browser_has_gone() override { return stream_.peer_has_ended(); }
    bool encrypted() const override { return stream_.encrypted(); }
    boost::asio::ip::address address() const override;

    std::optional<Answer> judge_hosts();
    Answer asset(const Asset& file);
    void check_body(Route::Body kind) const;
    boost::asio::awaitable<void> identify_caller();
    Answer redirect_to_https() const;
    Answer problem_answer(const ProblemError& error);
    void expect_within(Duration time, const char* what);
    bool keeps_alive(const Answer& reply) const;
    /// Who sends through a proxy on this machine may be anywhere.
    bool trusts_sender() const { return trusted_ && !request_.forwarded; }
    bool may_reuse() const { return !request_.chunked && body_left_ == 0; }

    WebShared& shared_;
    WebStream stream_;
    boost::asio::ip::tcp::endpoint peer_;
    boost::asio::ip::address local_;
    bool trusted_;
    bool admitted_ = false;  // has proved that it may read
    RequestReader reader_;
    Request request_;              // that is answered now
    Caller caller_;                // who sent it
    std::uint64_t body_left_ = 0;  // bytes of its body that were not read yet
    bool answer_chunked_ = false;
    bool begun_ = false;                       // the header of a long answer has gone out
    std::optional<EventFeed::Viewer> viewer_;  // while it watches the events
    std::string input_;
    Instant deadline_ = Instant::max();
    const char* waits_for_ = "";
    std::string closed_because_;  // by this side
    boost::asio::cancellation_signal cancel_;
};

}  // namespace rpic
