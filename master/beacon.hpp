#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/udp.hpp>
#include <string>
#include <string_view>

#include "master/context.hpp"
#include "master/core/answer_limit.hpp"

namespace rpic {

/// Answers slaves that look for their master (common/discovery.hpp): those whose key is known here,
/// and nobody else. It says nothing by itself, and an idle network wakes nobody.
///
/// Questions come to broadcast addresses and to the groups that every host is in, so there is no
/// group to join, and interfaces that come later need no attention.
class Beacon {
  public:
    /// `master_port` is what slaves shall connect to. Binds at once; where that fails the master
    /// goes on without, and says so: nothing depends on discovery.
    Beacon(const asio::any_io_executor& executor, Context& context, std::uint16_t master_port);

    /// Where it hears IPv4 questions; 0 if it does not.
    std::uint16_t port() const;

    /// Answers for ever.
    asio::awaitable<void> run();

  private:
    using udp = asio::ip::udp;

    void open(udp::socket& socket, const udp::endpoint& endpoint);
    asio::awaitable<void> answer_on(udp::socket& socket);
    asio::awaitable<void> wait_for_question(udp::socket& socket);
    bool take_question(udp::socket& socket);
    void answer(udp::socket& socket, std::string_view datagram, const udp::endpoint& from);

    Context& context_;
    std::uint16_t master_port_;
    std::string run_;  // of this start of this master
    AnswerLimit limit_;
    udp::socket v4_;
    udp::socket v6_;
    Wakeup never_;  // what a socket waits for that is not there
};

}  // namespace rpic
