#pragma once

#include <list>
#include <string>
#include <unordered_map>

#include "common/connection.hpp"
#include "common/wakeup.hpp"
#include "master/counters.hpp"

namespace rpic {

/// Peers that have not proved yet who they are wait here, few and not for long, so that strangers
/// cannot take what belongs to nodes. A peer takes a seat when it is accepted and leaves with its
/// handshake (encrypted) or its first valid frame (plain).
class Lobby {
  public:
    Lobby(const asio::any_io_executor& executor, Counters& counters)
        : counters_(counters), changed_(executor) {}

    class Seat {
      public:
        Seat(Lobby& lobby, Connection& connection);
        ~Seat() { leave(); }
        Seat(const Seat&) = delete;
        Seat& operator=(const Seat&) = delete;

        /// The peer has proved who it is, and still owes its hello: it is counted no longer, but is
        /// closed limits::hello_time after it was accepted.
        void authenticated();
        /// The peer has said hello: nothing here binds it any more.
        void leave();
        bool left() const { return connection_ == nullptr; }

      private:
        friend Lobby;
        Lobby& lobby_;
        Connection* connection_;  // null: left
        std::string host_;
        Instant since_;
        bool counted_ = true;
        std::list<Seat*>::iterator place_;
    };

    bool full() const;
    /// Returns once it is not full.
    asio::awaitable<void> wait_for_room();

    /// Closes who waits too long, and of addresses with too many the oldest that sent nothing. To
    /// be called a few times a second.
    void sweep(Instant now);
    void close_all(std::string_view reason);

  private:
    void stop_counting(Seat& seat);

    Counters& counters_;
    std::list<Seat*> seats_;                                 // oldest first
    std::unordered_map<std::string, std::size_t> per_host_;  // only those that count
    std::size_t counted_ = 0;
    Wakeup changed_;
};

}  // namespace rpic
