#pragma once

#include <sys/resource.h>
#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

namespace rpic {

/// One process to be started. Descriptors stay the caller's.
struct SpawnRequest {
    std::vector<std::string> command;
    std::vector<std::string> env;  // NAME=value, all of it
    std::string path;              // where commands without a slash are looked for
    // Entered before the change of user, since what is above it may be closed to that user.
    std::string folder;  // empty: none
    std::string cwd;     // entered as that user; relative to `folder`
    int input = -1;      // all three above 2
    int output = -1;
    int error = -1;
    std::int64_t uid = -1;  // -1: the caller's own
    std::int64_t gid = -1;
    std::vector<std::int64_t> groups;
    int group = -1;        // descriptor of the cgroup v2 folder it is born in; -1: the caller's
    int group_entry = -1;  // a cgroup.procs that it joins by itself; -1: none
    rlimit open_files{};   // what it may have; rlim_max 0: the caller's own
    rlim_t processes = 0;  // RLIMIT_NPROC; 0: the caller's own
    int out_of_memory_score = 0;  // oom_score_adj, added by the kernel when it chooses
};

enum class SpawnStep { fork, user, folder, execute };

struct Spawned {
    pid_t pid = -1;  // -1: it did not start
    SpawnStep step = SpawnStep::fork;
    int error = 0;
    std::string file;  // that is there and could not be executed
};

/// Starts a process in a session of its own, with default signals and nothing open but the three,
/// that dies with the calling thread. Fast however much memory the caller has: the child borrows it
/// until it executes (and the caller waits for that). A command that is neither program nor names
/// an interpreter is given to /bin/sh if it is text, as shells do.
Spawned spawn(const SpawnRequest& request);

/// What is wrong with a file that the kernel did not execute, as a sentence for the user; `error`
/// is what execve(2) said. A wrong architecture and a missing interpreter are named.
std::string why_not_executable(const std::string& file, int error);

}  // namespace rpic
