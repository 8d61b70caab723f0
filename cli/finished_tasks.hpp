#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "common/job_messages.hpp"

namespace rpic {

/// Finds out which tasks of a job have ended since the last look, without looking at all of a
/// million tasks each time: it asks for those that were passed over (they run, or run again), and
/// then for those behind the last one that has ended. Pure.
///
///     finished.begin_look();
///     while (auto request = finished.next_request()) finished.take(answer to *request, found);
class FinishedTasks {
  public:
    explicit FinishedTasks(std::string job) : job_(std::move(job)) {}

    void begin_look();
    /// Nothing: this look is over.
    std::optional<GetJob> next_request();
    /// All tasks that answered the last request, and `next` of its last page. Appends those that
    /// were not known to have ended.
    void take(const std::vector<TaskView>& tasks, const std::optional<std::int64_t>& next,
              std::vector<TaskView>& found);

    /// Whether all tasks before this index have ended.
    bool all_ended_before(std::int64_t index) const;

  private:
    std::string passed_over_selector();

    std::string job_;
    std::set<std::int64_t> passed_over_;  // have not ended, but one behind them has
    std::int64_t last_ended_ = -1;
    std::int64_t looked_at_ = -1;  // of the passed over ones, in this look
    bool asked_passed_over_ = false;
    bool over_ = true;
};

/// Whether a task in this state has ended.
bool has_ended(const TaskView& task);

}  // namespace rpic
