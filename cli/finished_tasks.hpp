#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "common/job_messages.hpp"

namespace rpic {

/// Finds out which tasks of a job, or of a selection of them, have ended since the last look,
/// without looking at all of a million tasks each time: it asks for those that were passed over
/// (they run, or run again), and then for those behind the last one that has ended. Pure.
///
///     finished.begin_look();
///     while (auto request = finished.next_request()) finished.take(answer to *request, found);
class FinishedTasks {
  public:
    /// `tasks` selects by index, as in GetJob.
    explicit FinishedTasks(std::string job, std::string tasks = {})
        : job_(std::move(job)), tasks_(std::move(tasks)) {}

    void begin_look();
    /// Nothing: this look is over.
    std::optional<GetJob> next_request();
    /// All tasks that answered the last request, and `next` of its last page. Appends those that
    /// were not known to have ended.
    void take(const std::vector<TaskView>& tasks, const std::optional<std::int64_t>& next,
              std::vector<TaskView>& found);

    /// Whether all tasks before this index have ended.
    bool all_ended_before(std::int64_t index) const;
    /// Whether the last look has found that all tasks have ended.
    bool all_ended() const { return over_ && !open_behind_ && passed_over_.empty(); }

  private:
    std::string passed_over_selector();

    std::string job_;
    std::string tasks_;                   // empty: all
    std::set<std::int64_t> passed_over_;  // have not ended, but one behind them has
    std::int64_t last_ended_ = -1;
    std::int64_t looked_at_ = -1;  // of the passed over ones, in this look
    bool asked_passed_over_ = false;
    bool open_behind_ = true;  // there may be tasks behind the last one that has ended
    bool over_ = true;
};

/// Whether a task in this state has ended.
bool has_ended(const TaskView& task);

}  // namespace rpic
