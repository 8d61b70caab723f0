#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <functional>
#include <string>
#include <vector>

#include "slave/web/cluster_view.hpp"

namespace rpic {

struct WebOptions {
    std::string bind = "127.0.0.1";          // address; empty: every address
    std::uint16_t port = 8123;               // 0: any free one
    std::vector<std::string> allowed_hosts;  // besides IP literals of this machine and localhost
    std::filesystem::path state_dir;         // for the self-made certificate
};

/// Asks the master what a token may do; answers viewer, submit, admin or an empty string.
using TokenCheck = std::function<boost::asio::awaitable<std::string>(std::string token)>;

/// The HTTP side of the webserver slave: serves the embedded page, /api/v1/nodes, /api/v1/master
/// and the event stream /api/v1/events from a ClusterView. It only reads the view and never talks
/// to the master except through `check_token`.
class WebServer {
  public:
    /// Binds at once; throws ConfigError with one clear line when the address is not to be had.
    WebServer(boost::asio::any_io_executor executor, WebOptions options, ClusterView& view,
              TokenCheck check_token);
    ~WebServer();

    std::uint16_t port() const;

    /// Serves until cancelled; its connections have ended when it returns (2 s at most).
    boost::asio::awaitable<void> run();
};

}  // namespace rpic
