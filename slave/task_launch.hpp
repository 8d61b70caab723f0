#pragma once

#include <memory>
#include <string>

#include "slave/core/attempts.hpp"
#include "slave/runner/messages.hpp"
#include "slave/task_user.hpp"

/// From an attempt to what the runner needs to start it, and what the next slave needs to go on
/// with it. Pure.
namespace rpic {

/// What all tasks of a node have in common.
struct TaskSurroundings {
    std::string node;  // name of this node in the cluster
    TaskUser user;
    bool private_temporary = false;  // TMPDIR is the work folder
};

/// Throws SyntaxError if the command with its item is too long.
LaunchSpec make_launch_spec(const NodeAttempts::Attempt& attempt, const std::string& folder,
                            const std::string& stdin_file, const TaskSurroundings& surroundings);

/// The environment of a task, all of it. What the job adds wins over ours, but not over RPIC_*,
/// which tasks rely on.
std::map<std::string, std::string> task_environment(const NodeAttempts::Attempt& attempt,
                                                    const std::string& folder,
                                                    const TaskSurroundings& surroundings);

/// What the next slave finds in LaunchSpec::context. A text that is none gives a job of one CPU
/// that brings nothing back.
std::shared_ptr<const NodeJob> job_in_context(const std::string& context);

/// The name of an attempt's folder: "JOB.TASK.ATTEMPT".
std::string folder_name(const AttemptKey& key);

}  // namespace rpic
