#pragma once

#include <boost/asio/awaitable.hpp>
#include <memory>
#include <string>
#include <string_view>

#include "common/connection.hpp"
#include "common/messages.hpp"
#include "common/text.hpp"

namespace rpic {

/// What makes one slave differ from another. All of them connect, introduce themselves, beat their
/// heart and come back in the same way (master_link.hpp); a role overrides what it does more, as
/// the seed texts' slaves override perform_action(). The role "basic" is this class itself.
class Role {
  public:
    virtual ~Role() = default;

    /// The link to this master is up, and it has said welcome.
    virtual void on_joined(Connection&, const HostPort& /*master*/, const Welcome&) {}

    /// Every heartbeat.
    virtual void perform_action(Connection& link, const Vitals& vitals) {
        Heartbeat beat;
        beat.sequence = ++beats_;
        beat.vitals = vitals;
        link.send(beat);
    }

    /// The master said something that is not about the link itself.
    virtual void on_message(const ToNode&) {}

    /// There is no link, and why.
    virtual void on_disconnected(std::string_view /*master*/, std::string_view /*reason*/) {}

    /// What runs beside the link for as long as the slave does.
    virtual asio::awaitable<void> run();

  protected:
    /// Sequence of the last heartbeat.
    std::int64_t beats() const { return beats_; }

  private:
    std::int64_t beats_ = 0;
};

}  // namespace rpic
