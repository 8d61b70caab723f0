#pragma once

#include <deque>
#include <vector>

#include "common/job_messages.hpp"
#include "common/limits.hpp"
#include "common/wakeup.hpp"

namespace rpic {

/// What happened lately, for `rpicluster events`: the last limits::events_kept of them, in memory,
/// so that an idle cluster writes nothing. Ids go up, also over a restart of the master: they begin
/// at its time of start in milliseconds since 1970, as far as the clock can be trusted.
class EventLog {
  public:
    EventLog(const boost::asio::any_io_executor& executor, std::int64_t wall_ms)
        : changed(executor), last_(wall_ms) {}

    void add(EventView event) {
        event.id = ++last_;
        events_.push_back(std::move(event));
        if (events_.size() > limits::events_kept) events_.pop_front();
        changed.notify();
    }

    /// Those after the one with this id, oldest first, `most` at most.
    std::vector<EventView> after(std::int64_t id, std::size_t most) const {
        std::vector<EventView> found;
        const auto first = last_ - static_cast<std::int64_t>(events_.size());
        for (auto place = std::max(id - first, std::int64_t{0});
             place < static_cast<std::int64_t>(events_.size()) && found.size() < most; ++place)
            found.push_back(events_[static_cast<std::size_t>(place)]);
        return found;
    }

    std::int64_t last() const { return last_; }

    Wakeup changed;

  private:
    std::int64_t last_;
    std::deque<EventView> events_;
};

}  // namespace rpic
