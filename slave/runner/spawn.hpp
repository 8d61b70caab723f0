#pragma once

#include <sys/resource.h>
#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace rpic {

/// One process to be started. Descriptors stay the caller's, who may close them once it is born.
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
    rlimit open_files{};   // what it may have; rlim_max 0: the caller's own
    rlim_t processes = 0;  // RLIMIT_NPROC; 0: the caller's own
    int out_of_memory_score = 0;  // oom_score_adj, added by the kernel when it chooses
    bool wait = false;            // begin() returns once the child has left our memory
};

enum class SpawnStep { fork, user, folder, execute };

struct SpawnFailure {
    SpawnStep step = SpawnStep::fork;
    int error = 0;
    std::string file;  // that is there and could not be executed
};

struct SpawnPlan;

/// A process from its birth to its program: in a session of its own, with default signals and
/// nothing open but the three, and it dies with the calling thread. Fast however much memory the
/// caller has, since the child borrows it until it executes; the caller goes on meanwhile, so that
/// the next one is born while this one still loads its program. A command that is neither program
/// nor names an interpreter is given to /bin/sh if it is text, as shells do.
class Spawning {
  public:
    explicit Spawning(SpawnRequest request);
    /// A child that is still in our memory, and cannot be killed, keeps what it needs of it.
    ~Spawning();
    Spawning(const Spawning&) = delete;
    Spawning& operator=(const Spawning&) = delete;

    /// Once. The child, or -1 and errno: the kernel makes none. Signals must be blocked in the
    /// calling thread, because no handler may run in the child.
    pid_t begin();

    /// The child has left our memory: it executes its program, or is dead.
    bool over() const;

    /// Why it never executed anything. Known once the child has ended, which it does at once then.
    std::optional<SpawnFailure> failure() const;

    const SpawnRequest& request() const;

  private:
    std::unique_ptr<SpawnPlan> plan_;
};

/// What is wrong with a file that the kernel did not execute, as a sentence for the user; `error`
/// is what execve(2) said. A wrong architecture and a missing interpreter are named.
std::string why_not_executable(const std::string& file, int error);

}  // namespace rpic
