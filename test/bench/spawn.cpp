#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>

#include "common/clock.hpp"

// What the machine can do: how many /bin/true a second start and end with two of them in flight,
// spawned and waited for in a small process, first bare, then each with what a task of a cluster
// has: a private folder, captured output and another user. rpicluster-bench-spawn [SECONDS]
// prints one JSON object.

namespace {

using rpic::Clock;
using rpic::to_seconds;

constexpr int in_flight = 2;
constexpr uid_t nobody = 65534;
char program[] = "/bin/true";
char* arguments[] = {program, nullptr};
char* environment[] = {nullptr};

[[noreturn]] void fail(const char* what) {
    std::perror(what);
    std::exit(1);
}

double bare(double seconds) {
    const auto spawn = [] {
        pid_t pid = 0;
        if (::posix_spawn(&pid, program, nullptr, nullptr, arguments, environment) != 0)
            fail("posix_spawn");
    };
    for (int i = 0; i < in_flight; ++i) spawn();
    const auto began = Clock::now();
    int done = 0;
    for (; to_seconds(Clock::now() - began) < seconds; ++done) {
        if (::wait(nullptr) < 0) fail("wait");
        spawn();
    }
    const double rate = done / to_seconds(Clock::now() - began);
    while (::wait(nullptr) > 0) continue;
    return rate;
}

/// One process with its folder and the pipe that it prints to.
struct Task {
    pid_t pid = 0;
    std::string folder;
    int output[2] = {-1, -1};
    bool change_user = false;
    alignas(16) char stack[16 * 1024];
};

/// Runs in its parent's memory: raw system calls alone.
int child(void* argument) {
    const auto& task = *static_cast<Task*>(argument);
    ::setsid();
    if (::chdir(task.folder.c_str()) != 0) ::_exit(126);
    if (task.change_user) {
        ::syscall(SYS_setgroups, 0, nullptr);
        ::syscall(SYS_setresgid, nobody, nobody, nobody);
        ::syscall(SYS_setresuid, nobody, nobody, nobody);
    }
    ::dup2(task.output[1], 1);
    ::dup2(task.output[1], 2);
    ::execve(program, arguments, environment);
    ::_exit(127);
}

void start(Task& task) {
    if (::mkdir(task.folder.c_str(), 0700) != 0) fail("mkdir");
    if (task.change_user && ::chown(task.folder.c_str(), nobody, nobody) != 0) fail("chown");
    if (::pipe2(task.output, O_CLOEXEC) != 0) fail("pipe2");
    // posix_spawn cannot change the user; this is what it does inside.
    task.pid =
        ::clone(child, task.stack + sizeof task.stack, CLONE_VM | CLONE_VFORK | SIGCHLD, &task);
    if (task.pid < 0) fail("clone");
    ::close(task.output[1]);
}

void end(Task& task) {
    char bytes[4096];
    while (::read(task.output[0], bytes, sizeof bytes) > 0) continue;
    ::close(task.output[0]);
    if (::rmdir(task.folder.c_str()) != 0) fail("rmdir");
}

double furnished(double seconds, const std::string& folder) {
    static Task tasks[in_flight];
    int number = 0;
    const auto next = [&](Task& task) {
        task.folder = folder + "/" + std::to_string(++number);
        task.change_user = ::geteuid() == 0;
        start(task);
    };
    for (auto& task : tasks) next(task);
    const auto began = Clock::now();
    int done = 0;
    for (; to_seconds(Clock::now() - began) < seconds; ++done) {
        int status = 0;
        const pid_t pid = ::wait(&status);
        if (pid < 0) fail("wait");
        if (status != 0) std::exit(1);
        auto& task = tasks[0].pid == pid ? tasks[0] : tasks[1];
        end(task);
        next(task);
    }
    const double rate = done / to_seconds(Clock::now() - began);
    while (::wait(nullptr) > 0) continue;
    for (auto& task : tasks) end(task);
    return rate;
}

}  // namespace

int main(int argc, char** argv) {
    const double seconds = argc > 1 ? std::atof(argv[1]) : 3;
    std::string folder = (std::filesystem::temp_directory_path() / "rpic-spawn-XXXXXX").string();
    if (::mkdtemp(folder.data()) == nullptr) fail("mkdtemp");
    if (::chmod(folder.c_str(), 0711) != 0) fail("chmod");
    const double first = bare(seconds);
    const double second = furnished(seconds, folder);
    std::error_code ignored;
    std::filesystem::remove_all(folder, ignored);
    std::printf("{\"bare\":%.1f,\"furnished\":%.1f}\n", first, second);
}
