#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/address.hpp>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/limits.hpp"
#include "slave/web/cluster_view.hpp"
#include "slave/web/master_desk.hpp"
#include "slave/web/token_gate.hpp"

namespace rpic {

/// How long a connection may take for its steps. The tests shorten them.
struct WebTimes {
    Duration request = limits::web_request_time;
    Duration idle = limits::web_idle_time;
    Duration check_again = limits::web_keep_alive;  // the token of one who watches the events
};

struct WebOptions {
    std::string bind = "127.0.0.1";          // address; empty: every address
    std::uint16_t port = 8123;               // 0: any free one
    std::vector<std::string> allowed_hosts;  // besides IP literals of this machine and localhost
    std::filesystem::path state_dir;         // for the self-made certificate
    WebTimes times;
    /// Which addresses are this machine's own loopback. The tests, which have no other machine,
    /// make a part of it foreign.
    std::function<bool(const boost::asio::ip::address&)> is_loopback;  // empty: the real ones
};

/// What was refused, dropped or closed since the start.
struct WebCounters {
    std::uint64_t connections = 0;
    std::uint64_t refused_connections = 0;  // too many of other machines
    std::uint64_t bad_requests = 0;
    std::uint64_t foreign_hosts = 0;
    std::uint64_t refused_tokens = 0;
    std::uint64_t too_many_viewers = 0;
    std::uint64_t dropped_viewers = 0;
    std::uint64_t timed_out = 0;
};

/// How the web server reaches the master.
struct MasterAccess {
    TokenCheck check_token;
    MasterDesk::Target target;   // empty: there is no master that could be asked
    MasterDesk::OwnKey own_key;  // for those who may look without a token
};

/// The HTTP side of the webserver slave: serves the embedded page, the HTTP API and the metrics
/// (web/openapi.json). What many look at comes from a ClusterView, everything else from the master,
/// asked in the name of who sent the request.
///
/// A peer on this machine's loopback speaks plain HTTP and needs no token to look, unless it is a
/// proxy that says so. Any other must use HTTPS, on the same port, and send a token with each
/// request or log in.
class WebServer {
  public:
    /// Binds at once; throws ConfigError with one clear line when the address is not to be had.
    WebServer(boost::asio::any_io_executor executor, WebOptions options, ClusterView& view,
              MasterAccess master);
    ~WebServer();

    std::uint16_t port() const;

    /// SHA-256 of the certificate as "AB:CD:..."; empty when bound to loopback only, where there is
    /// none.
    std::string certificate_fingerprint() const;

    WebCounters counters() const;

    /// Serves until cancelled; its connections have ended when it returns. The server must live
    /// until then.
    boost::asio::awaitable<void> run();

  private:
    class Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace rpic
