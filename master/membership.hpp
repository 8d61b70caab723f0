#pragma once

#include <string>

#include "master/context.hpp"

namespace rpic {

/// A node's share in the cluster: it ends with this object, whatever ended the session.
class Membership {
  public:
    Membership(Context& context, SessionId session) : context_(context), session_(session) {}
    ~Membership() {
        if (context_.stopping) return;
        Effects effects;
        context_.cluster.on_disconnected(Clock::now(), session_, reason, effects);
        context_.turns.add(std::move(effects));
    }
    Membership(const Membership&) = delete;
    Membership& operator=(const Membership&) = delete;

    std::string reason = "its connection ended";

  private:
    Context& context_;
    SessionId session_;
};

}  // namespace rpic
