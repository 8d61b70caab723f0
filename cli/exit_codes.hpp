#pragma once

#include <cstdint>

#include "common/job_messages.hpp"

/// How the end of tasks becomes the exit code of the command. Pure.
namespace rpic::exit_code {

inline constexpr int own_error = 125;    // of run, exec, wait and map
inline constexpr int left_alone = 125;   // Ctrl-C, or nobody reads the output: the job goes on
inline constexpr int interrupted = 130;  // Ctrl-C twice: the job is cancelled
inline constexpr int time_limit = 124;   // as timeout(1)
inline constexpr int many_failed = 101;  // more than 100 tasks failed

/// Of `run`: the task's own code, 128 + signal, 124 after its time limit; 125 if it has none,
/// because it was cancelled or never ran.
int of_task(const TaskView& task);

/// Of `wait` and `map`: how many tasks failed; if none did, how many were cancelled.
int of_tasks(std::int64_t failed, std::int64_t cancelled);

}  // namespace rpic::exit_code
