#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "common/wakeup.hpp"
#include "master/core/effects.hpp"
#include "master/store.hpp"

namespace rpic {

struct Context;

/// The way from a decision to its consequences. Everything that is decided while one commit is
/// under way is one turn: its records are committed together, and only then its orders,
/// acknowledgements and answers leave, in the order in which they were decided. Work is given to
/// nodes at the end of each turn, so a submit and its first starts share a commit.
///
/// Without load a turn lasts as long as its commit. While nodes have tasks in store, so that nobody
/// notices, turns last limits::turn_gather, which spares the disk.
class Turns {
  public:
    Turns(Context& context, const asio::any_io_executor& executor)
        : context_(context), more_(executor), done_(executor) {}

    /// Takes up what was decided: log and sessions at once, the rest with the end of this turn.
    void add(Effects effects);
    /// The same for records that are not decisions of the core.
    void record(StoreBatch batch);
    /// Answers to a worker that has come back, ahead of the effects that follow them.
    void send(SessionId session, std::string frame);

    /// Returns once all that was taken up so far is on disk and sent.
    asio::awaitable<void> settled();

    /// Lives as long as the master.
    asio::awaitable<void> run();

  private:
    struct Answer {
        SessionId session = 0;
        std::string frame;
    };
    using Sending = std::variant<OrderStart, OrderStop, OrderAck, OrderPower, JobEnded, Answer>;
    struct Turn {
        StoreBatch batch;
        std::vector<Sending> sendings;
        std::vector<ItemRequest> items;      // of the starts ...
        std::vector<std::size_t> items_for;  // ... at these places of `sendings`
        bool empty() const { return batch.empty() && sendings.empty(); }
    };

    void take(Effect& effect);
    asio::awaitable<void> gather(Instant last);
    asio::awaitable<void> carry_out(Turn turn);
    void fill_items(Turn& turn, std::vector<Item>& items);
    void send(const Turn& turn);
    std::size_t send_starts(const std::vector<Sending>& sendings, std::size_t place);
    template <class Order, class Message>
    std::size_t send_keys(const std::vector<Sending>& sendings, std::size_t place, Message message);

    Context& context_;
    Turn turn_;
    std::uint64_t open_ = 1;     // number of the turn that is taking up
    std::uint64_t settled_ = 0;  // number of the last one that was carried out
    std::uint64_t shown_ = 0;    // Jobs::version() of which viewers were told
    Wakeup more_;
    Wakeup done_;
};

}  // namespace rpic
