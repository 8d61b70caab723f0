#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <set>
#include <vector>

#include "common/wakeup.hpp"
#include "master/core/effects.hpp"
#include "master/store.hpp"
#include "master/turn.hpp"

namespace rpic {

struct Context;

/// The way from a decision to its consequences. Everything that is decided while one commit is
/// under way is one turn: its records are committed together, and only then its orders,
/// acknowledgements and answers leave, in the order in which they were decided. Work is given to
/// nodes at the end of each turn, so a submit and its first starts share a commit.
///
/// Without load a turn lasts as long as its commit. While nodes have tasks in store, so that nobody
/// notices, turns last limits::turn_gather, which spares the disk.
class Turns : private TurnPost {
  public:
    Turns(Context& context, const asio::any_io_executor& executor)
        : context_(context), more_(executor), done_(executor) {}

    /// Takes up what was decided: log and sessions at once, the rest with the end of this turn.
    void add(Effects effects);
    /// The same for records that are not decisions of the core.
    void record(StoreBatch batch);
    /// Answers to a worker that has come back, ahead of the effects that follow them.
    void answer(SessionId session, Resynced message);

    /// Returns once all that was taken up so far is on disk and sent.
    asio::awaitable<void> settled();

    /// Lives as long as the master.
    asio::awaitable<void> run();

  private:
    void take(Effect& effect);
    asio::awaitable<void> gather(Instant last);
    asio::awaitable<void> carry_out(Turn turn);
    void fill_items(Turn& turn, std::vector<Item>& items);

    std::set<JobId>* known_jobs(SessionId session) override;
    void send(SessionId session, const Message& message) override;
    void drop_job(JobId job) override;

    Context& context_;
    Turn turn_;
    std::uint64_t open_ = 1;     // number of the turn that is taking up
    std::uint64_t settled_ = 0;  // number of the last one that was carried out
    std::uint64_t shown_ = 0;    // Jobs::version() of which viewers were told
    Wakeup more_;
    Wakeup done_;
};

}  // namespace rpic
