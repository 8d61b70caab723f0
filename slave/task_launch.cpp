#include "slave/task_launch.hpp"

#include <algorithm>

#include "common/item_template.hpp"
#include "common/json.hpp"
#include "common/limits.hpp"

namespace rpic {

namespace {

/// 1.5 is "1.5", 2 is "2".
std::string shortest_text(double number) {
    auto text = std::to_string(number);
    text.erase(text.find_last_not_of('0') + 1);
    if (text.back() == '.') text.pop_back();
    return text;
}

std::string context_of(const NodeJob& job) {
    NodeJob kept;
    kept.cpus = job.cpus;
    kept.memory_bytes = job.memory_bytes;
    kept.resources = job.resources;
    kept.out = job.out;
    kept.stop_after_seconds = job.stop_after_seconds;
    return json::serialize(to_json(kept));
}

bool may_be_set(const std::string& name) {
    const bool plain = !name.empty() && name.find('=') == std::string::npos &&
                       name.find('\0') == std::string::npos;
    return plain && !name.starts_with("RPIC_");
}

}  // namespace

std::string folder_name(const AttemptKey& key) {
    return std::to_string(key.job) + "." + std::to_string(key.task) + "." +
           std::to_string(key.attempt);
}

std::map<std::string, std::string> task_environment(const NodeAttempts::Attempt& attempt,
                                                    const std::string& folder,
                                                    const TaskSurroundings& surroundings) {
    std::map<std::string, std::string> env = {
        {"PATH", "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"},
        {"HOME", folder},
        {"USER", surroundings.user.name},
        {"LOGNAME", surroundings.user.name},
        {"SHELL", "/bin/sh"},
        {"LANG", "C.UTF-8"},
    };
    if (surroundings.private_temporary) env["TMPDIR"] = folder;
    const auto& job = *attempt.job;
    for (const auto& [name, value] : job.env)
        if (may_be_set(name)) env[name] = value;
    env["RPIC_JOB"] = std::to_string(attempt.key.job);
    env["RPIC_TASK"] = std::to_string(attempt.key.task);
    env["RPIC_ATTEMPT"] = std::to_string(attempt.key.attempt);
    env["RPIC_ITEM"] = attempt.item;
    env["RPIC_NODE"] = surroundings.node;
    env["RPIC_CPUS"] = shortest_text(job.cpus);
    if (job.memory_bytes > 0) env["RPIC_MEMORY"] = std::to_string(job.memory_bytes);
    return env;
}

LaunchSpec make_launch_spec(const NodeAttempts::Attempt& attempt, const std::string& folder,
                            const std::string& stdin_file, const TaskSurroundings& surroundings) {
    const auto& job = *attempt.job;
    LaunchSpec spec;
    spec.key = attempt.key;
    // A job without items may well use {} for something else, as find(1) does.
    spec.command = job.items ? expand_item(job.command, job.shell, attempt.item, attempt.key.task)
                             : job.command;
    spec.env = task_environment(attempt, folder, surroundings);
    spec.folder = folder;
    spec.cwd = folder;
    if (!job.cwd.empty()) spec.cwd = job.cwd.front() == '/' ? job.cwd : folder + "/" + job.cwd;
    spec.stdin_file = stdin_file;
    spec.uid = surroundings.user.uid;
    spec.gid = surroundings.user.gid;
    spec.groups = surroundings.user.groups;
    spec.memory_bytes = std::max<std::int64_t>(job.memory_bytes, 0);
    spec.time_limit_seconds = std::max(job.time_limit_seconds, 0.0);
    spec.grace_seconds = to_seconds(limits::kill_grace);
    spec.stop_after_seconds = std::max(job.stop_after_seconds, 0.0);
    spec.brings_files = !job.out.empty();
    spec.context = context_of(job);
    return spec;
}

std::shared_ptr<const NodeJob> job_in_context(const std::string& context) {
    auto job = std::make_shared<NodeJob>();
    json::error_code error;
    const auto value = json::parse(context, error);
    try {
        if (!error) from_json(value, *job, "context");
    } catch (const BadMessageError&) {
        *job = {};
    }
    return job;
}

}  // namespace rpic
