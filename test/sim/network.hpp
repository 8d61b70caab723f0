#pragma once

#include <array>
#include <deque>
#include <functional>
#include <map>
#include <string>
#include <variant>

#include "common/messages.hpp"
#include "test/sim/timeline.hpp"
#include "test/sim/trouble.hpp"

namespace rpic::sim {

/// The first message of a node, with the key that its connection is encrypted with.
struct Greeting {
    Hello hello;
    std::string key;  // empty: the join key
};
/// Reports with the outputs behind them.
struct Reports {
    AttemptsEnded message;
    std::string outputs;
};
/// The end of a connection, as the other side sees it.
struct Closed {
    std::string reason;
};
using Up = std::variant<Greeting, Heartbeat, Reports, AttemptsStarted, AttemptsRetracted, Resync,
                        KeyStored, Closed>;
using Down = std::variant<Welcome, Refused, HeartbeatAck, StartTasks, StopAttempts, AckAttempts,
                          Resynced, DropJob, Power, Closed>;

using LinkId = std::uint64_t;  // 0: none

/// Connections between nodes and the master as TCP makes them: what one side sends arrives in order
/// or not at all, and a silent network is nothing that either of them is told about. Connections
/// overtake one another.
class Network {
  public:
    Network(Timeline& timeline, Random& random, Troubles& troubles)
        : timeline_(timeline), random_(random), troubles_(troubles) {}

    std::function<void(LinkId, int board, Up&)> on_up;
    std::function<void(LinkId, int board, Down&)> on_down;

    /// The node's end is open at once; the greeting leaves once both sides have shaken hands, which
    /// takes until the way is free in both directions.
    LinkId connect(int board, Greeting greeting);
    void send_up(LinkId id, Up message);
    void send_down(LinkId id, Down message);

    /// A program ends its side. `silently`: its machine has no power, so nobody is told.
    void close_node_end(LinkId id, const std::string& reason, bool silently = false);
    void close_master_end(LinkId id, const std::string& reason, bool silently = false);
    /// The master's program is gone, and all its ends with it.
    void close_master_ends(const std::string& reason, bool silently);
    /// Something between them breaks it: what is under way is lost.
    void reset(LinkId id);
    /// Those whose ends are not both closed.
    std::vector<LinkId> links_of(int board) const;

    /// Nothing comes through, in these directions, until heal().
    void cut(int board, bool up, bool down);
    void heal(int board);
    bool is_cut(int board) const;
    /// Everything in these directions takes so much longer.
    void slow_down(int board, Duration up, Duration down);
    /// Many packets are lost: what was in them is sent again, seconds later, and what another
    /// connection carries overtakes it.
    void make_lossy(int board, bool lossy);

    // Machines with power answer what belongs to no connection.
    void set_node_power(int board, bool on);
    void set_master_power(bool on);

  private:
    template <class Message>
    struct Lane {
        struct Item {
            Duration ready;
            Message message;
        };
        std::deque<Item> items;
        bool pumped = false;     // an event is on its way
        bool swallowed = false;  // something went to a machine without power
    };
    struct Link {
        int board = 0;
        Lane<Up> up;
        Lane<Down> down;
        bool node_open = true;
        bool master_open = false;  // until they have shaken hands
        Duration accepted{};
    };
    struct Wire {
        bool up_cut = false;
        bool down_cut = false;
        Duration extra_up{};
        Duration extra_down{};
        bool lossy = false;
        bool power = true;
    };

    void shake_hands(LinkId id, const Greeting& greeting, Duration wait);
    Duration trip(const Wire& wire, Duration extra);
    template <class Message>
    void push(LinkId id, Lane<Message>& lane, Message message);
    template <class Message>
    void pump(LinkId id, Lane<Message>& lane);
    void deliver_up(LinkId id);
    void deliver_down(LinkId id);
    void forget_if_over(LinkId id);
    template <class Message>
    void resume(LinkId id, Lane<Message>& lane);
    Link* find(LinkId id);

    Timeline& timeline_;
    Random& random_;
    Troubles& troubles_;
    std::map<LinkId, Link> links_;
    std::map<int, Wire> wires_;
    bool master_power_ = true;
    LinkId last_ = 0;
};

}  // namespace rpic::sim
