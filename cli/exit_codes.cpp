#include "cli/exit_codes.hpp"

#include <algorithm>

namespace rpic::exit_code {

int of_task(const TaskView& task) {
    if (task.exit_code) return static_cast<int>(std::clamp<std::int64_t>(*task.exit_code, 0, 255));
    if (task.signal) return 128 + static_cast<int>(std::clamp<std::int64_t>(*task.signal, 0, 127));
    return task.state == "done" ? 0 : own_error;
}

int of_tasks(std::int64_t failed, std::int64_t cancelled) {
    const auto missing = failed > 0 ? failed : cancelled;
    return static_cast<int>(std::clamp<std::int64_t>(missing, 0, many_failed));
}

}  // namespace rpic::exit_code
