#include "cli/finished_tasks.hpp"

#include <algorithm>

namespace rpic {

namespace {

constexpr std::size_t ranges_per_request = 256;
constexpr std::int64_t tasks_per_request = 2000;

}  // namespace

bool has_ended(const TaskView& task) {
    return task.state == "done" || task.state == "failed" || task.state == "cancelled";
}

void FinishedTasks::begin_look() {
    looked_at_ = -1;
    over_ = false;
}

/// The next of them as a selector; empty when all were looked at.
std::string FinishedTasks::passed_over_selector() {
    std::string selector;
    std::size_t ranges = 0;
    auto task = passed_over_.upper_bound(looked_at_);
    while (task != passed_over_.end() && ranges < ranges_per_request) {
        const auto first = *task;
        auto last = first;
        while (++task != passed_over_.end() && *task == last + 1) last = *task;
        selector += (selector.empty() ? "" : ",") + std::to_string(first);
        if (last > first) selector += "-" + std::to_string(last);
        looked_at_ = last;
        ++ranges;
    }
    return selector;
}

std::optional<GetJob> FinishedTasks::next_request() {
    if (over_) return std::nullopt;
    GetJob request;
    request.job = job_;
    request.tasks = passed_over_selector();
    asked_passed_over_ = !request.tasks.empty();
    if (!asked_passed_over_) {
        request.tasks = tasks_;
        request.after = last_ended_;
        request.limit = tasks_per_request;
    }
    return request;
}

void FinishedTasks::take(const std::vector<TaskView>& tasks,
                         const std::optional<std::int64_t>& next, std::vector<TaskView>& found) {
    if (asked_passed_over_) {
        for (const auto& task : tasks)
            if (has_ended(task) && passed_over_.erase(task.index) > 0) found.push_back(task);
        return;
    }
    const auto last = std::find_if(tasks.rbegin(), tasks.rend(), has_ended);
    for (auto task = tasks.begin(); task != last.base(); ++task) {
        if (has_ended(*task))
            found.push_back(*task);
        else
            passed_over_.insert(task->index);
        last_ended_ = task->index;
    }
    // Whoever waits behind tasks_per_request tasks that all have not ended is found later.
    const bool to_the_end = last == tasks.rbegin() && last != tasks.rend();
    over_ = !(to_the_end && next);
    open_behind_ = last != tasks.rbegin() || next;
}

bool FinishedTasks::all_ended_before(std::int64_t index) const {
    return passed_over_.empty() || *passed_over_.begin() >= index;
}

}  // namespace rpic
