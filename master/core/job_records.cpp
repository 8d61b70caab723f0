#include "master/core/job_records.hpp"

#include <algorithm>
#include <array>

namespace rpic {

namespace {

constexpr std::array<std::string_view, task_states> state_names = {"queued", "running", "done",
                                                                   "failed", "cancelled"};

}  // namespace

std::string_view state_name(TaskState state) {
    return state_names[static_cast<std::size_t>(state)];
}

std::optional<TaskState> task_state(std::string_view name) {
    const auto found = std::find(state_names.begin(), state_names.end(), name);
    if (found == state_names.end()) return std::nullopt;
    return static_cast<TaskState>(found - state_names.begin());
}

bool stands(const JobStatus& status, TaskState state, std::int64_t round) {
    if (state == TaskState::failed) return round >= status.round;
    if (state == TaskState::cancelled) return round >= status.cancelled_round;
    return true;
}

TaskState state_after_result(const JobStatus& status, TaskState state, std::int64_t round) {
    if (stands(status, state, round)) return state;
    // A retry took it up, but the job was cancelled before it ran; a later retry left it so.
    if (status.rest_cancelled && round < status.rest_round) return TaskState::cancelled;
    return TaskState::queued;
}

TaskState state_without_result(const JobStatus& status) {
    return status.rest_cancelled ? TaskState::cancelled : TaskState::queued;
}

}  // namespace rpic
