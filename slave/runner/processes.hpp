#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace rpic {

/// The variable that marks every process of a task, for runners that find it later.
inline constexpr std::string_view marker_variable = "RPICLUSTER_RUNNER";

/// One process as /proc/PID/stat shows it.
struct Process {
    pid_t pid = 0;
    pid_t parent = 0;
    pid_t session = 0;
    bool zombie = false;
    std::int64_t rss_bytes = 0;
};

/// Takes a line of /proc/PID/stat apart; a name with spaces and brackets does not confuse it. False
/// if it is not one.
bool parse_process(std::string_view line, std::int64_t page_bytes, Process& process);

/// All processes that live now, zombies among them.
std::vector<Process> list_processes();

/// Value of the marker in a process' environment as it was when it was executed; empty if there is
/// none or it may not be read.
std::string marker_of(pid_t pid);

/// The processes that `is_root` chooses and all that descend from them; no zombies. Pure.
std::vector<Process> trees_of(const std::vector<Process>& processes,
                              const std::function<bool(const Process&)>& is_root);

}  // namespace rpic
