#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstddef>
#include <string>
#include <vector>

#include "slave/runner/spawn.hpp"

namespace rpic {

/// All that the child needs, made ready before it exists: it runs in its parent's memory, where it
/// must neither allocate, nor take a lock, nor touch errno. It answers through `step` and `error`.
struct SpawnPlan {
    SpawnRequest request;
    std::vector<std::string> candidates;  // files that the command may be
    std::vector<char*> arguments;         // one place free in front, for a shell
    std::vector<char*> environment;
    std::vector<gid_t> groups;
    pid_t parent = 0;
    char head[128] = {};  // of a file that is no program
    SpawnStep step = SpawnStep::fork;
    int error = 0;
    std::size_t candidate = 0;  // that `error` is about
    bool there = false;         // it exists
    // Not 0 while the child is in our memory: the kernel clears it when the child executes a
    // program or dies (CLONE_CHILD_CLEARTID of clone(2)).
    std::atomic<int> inside = 0;
    alignas(64) char stack[32 * 1024];
};

/// What the child does, from its birth on: it executes its program, or writes down why not and
/// exits. `plan` is a SpawnPlan.
int run_child(void* plan);

}  // namespace rpic
