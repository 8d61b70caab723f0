#pragma once

#include <map>

#include "slave/options.hpp"
#include "slave/role.hpp"
#include "slave/web/web_server.hpp"

namespace rpic {

/// The slave with the web page: watches the cluster through its link and shows what it sees. The
/// page is there before the link is.
class WebserverRole : public Role {
  public:
    WebserverRole(const asio::any_io_executor& executor, const SlaveOptions& options);

    void on_joined(Connection& link, std::string_view master) override;
    void on_message(const ToNode& message) override;
    void on_disconnected(std::string_view master, std::string_view reason) override;
    asio::awaitable<void> run() override;

    ClusterView& view() { return view_; }
    std::uint16_t port() const { return server_.port(); }

  private:
    asio::awaitable<std::string> check_token(std::string token);

    void take(const NodesChanged& changed);
    void take(const MasterChanged& changed);
    void take(const TokenChecked& checked);
    template <class Other>
    void take(const Other&) {}

    ClusterView view_;
    WebServer server_;
    Connection* link_ = nullptr;
    bool first_picture_ = false;  // the next NodesChanged begins a new picture
    std::int64_t checks_ = 0;
    std::map<std::int64_t, std::string> checked_;  // answers that nobody has fetched yet
    Wakeup answered_;
};

}  // namespace rpic
