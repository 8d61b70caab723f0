#pragma once

#include "common/connection.hpp"
#include "common/machine/machine.hpp"
#include "slave/core/backoff.hpp"
#include "slave/identity.hpp"
#include "slave/options.hpp"
#include "slave/role.hpp"

namespace rpic {

/// The base of every slave, encrypted: connect, hello, heartbeat, and for ever again when the link
/// ends.
class MasterLink {
  public:
    MasterLink(const SlaveOptions& options, Identity& identity, Machine& machine, Role& role)
        : options_(options), identity_(identity), machine_(machine), role_(role) {}

    /// One connection from beginning to end; throws DisconnectionError, KeyRefusedError if another
    /// attempt would be refused just so.
    asio::awaitable<void> run_once(HostPort target);

    /// Whether the last connection got as far as the master's welcome.
    bool joined() const { return joined_; }

    /// The key was refused: whether there is another to try at once, as --rejoin allows.
    bool try_other_key();
    /// What to do about a refused key.
    std::string advice() const;

  private:
    Hello make_hello();
    asio::awaitable<void> introduce(Connection& link, Welcome& welcome);
    void accept_welcome(Connection& link, const Welcome& welcome);
    asio::awaitable<void> read(Connection& link);
    asio::awaitable<void> beat(Connection& link);

    const SlaveOptions& options_;
    Identity& identity_;
    Machine& machine_;
    Role& role_;
    bool joined_ = false;
};

/// The base of every slave that speaks the seed texts' protocol, likewise. With a view it is the
/// texts' webserver slave and asks for the cluster with every heartbeat.
class PlainLink {
  public:
    PlainLink(const SlaveOptions& options, Machine& machine, ClusterView* view)
        : options_(options), machine_(machine), view_(view) {}

    asio::awaitable<void> run_once(HostPort target);
    bool joined() const { return joined_; }
    bool try_other_key() { return false; }
    std::string advice() const { return {}; }

  private:
    asio::awaitable<void> introduce(Connection& link);
    asio::awaitable<void> read(Connection& link);
    asio::awaitable<void> beat(Connection& link);
    void take(const Frame& frame);

    const SlaveOptions& options_;
    Machine& machine_;
    ClusterView* view_;
    std::string uuid_;
    bool joined_ = false;
};

}  // namespace rpic
