#pragma once

#include <map>
#include <optional>

#include "slave/identity.hpp"
#include "slave/influx_writer.hpp"
#include "slave/options.hpp"
#include "slave/role.hpp"
#include "slave/web/web_server.hpp"

namespace rpic {

/// The slave with the web page: watches the cluster through its link and shows what it sees. The
/// page is there before the link is.
class WebserverRole : public Role {
  public:
    WebserverRole(const asio::any_io_executor& executor, const SlaveOptions& options,
                  const Identity& identity);

    void on_joined(Connection& link, const HostPort& master, const Welcome&) override;
    void on_message(const ToNode& message) override;
    void on_disconnected(std::string_view master, std::string_view reason) override;
    asio::awaitable<void> run() override;

    ClusterView& view() { return view_; }
    std::uint16_t port() const { return server_.port(); }

  private:
    /// A question to the master that is open for as long as this lives.
    class Question {
      public:
        Question(WebserverRole& role, std::int64_t id) : role_(role), id_(id) {}
        ~Question() { role_.questions_.erase(id_); }
        Question(const Question&) = delete;
        Question& operator=(const Question&) = delete;

      private:
        WebserverRole& role_;
        std::int64_t id_;
    };

    MasterAccess access(const Identity& identity);
    asio::awaitable<TokenRole> check_token(std::string token);
    asio::awaitable<void> wait_for_answer(std::int64_t id);

    void take(const NodesChanged& changed);
    void take(const MasterChanged& changed);
    void take(const JobsChanged& changed);
    void take(const RunsChanged& changed);
    void take(const EventsHappened& happened);
    void take(const MetricsChanged& changed);
    void take(const TokenChecked& checked);
    template <class Other>
    void take(const Other&) {}

    ClusterView view_;
    InfluxWriter influx_;
    WebServer server_;
    Connection* link_ = nullptr;
    std::optional<HostPort> master_;  // that the link is to
    bool first_picture_ = false;      // the next NodesChanged begins a new picture
    std::int64_t checks_ = 0;
    std::map<std::int64_t, std::optional<TokenRole>> questions_;  // open ones, and their answers
    Wakeup answered_;
};

}  // namespace rpic
