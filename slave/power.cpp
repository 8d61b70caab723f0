#include "slave/power.hpp"

#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>

#include "common/limits.hpp"
#include "common/log.hpp"
#include "common/sleep.hpp"

namespace rpic {

namespace {

/// Process id, or -1 and errno.
pid_t start_shell(const std::string& command) {
    posix_spawnattr_t attributes;
    ::posix_spawnattr_init(&attributes);
    ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID);
    std::string program = "sh", option = "-c", line = command;
    char* arguments[] = {program.data(), option.data(), line.data(), nullptr};
    pid_t child = -1;
    const int error = ::posix_spawn(&child, "/bin/sh", nullptr, &attributes, arguments, environ);
    ::posix_spawnattr_destroy(&attributes);
    errno = error;
    return error == 0 ? child : -1;
}

}  // namespace

boost::asio::awaitable<void> run_power_command(std::string command) {
    const pid_t child = start_shell(command);
    if (child < 0) {
        log_error("cannot run \"" + command + "\": " + std::strerror(errno));
        co_return;
    }
    const auto deadline = Clock::now() + limits::power_time;
    int status = 0;
    while (::waitpid(child, &status, WNOHANG) == 0) {
        if (Clock::now() > deadline) {
            log_warning("\"" + command + "\" is still running");
            co_return;
        }
        co_await sleep_for(std::chrono::milliseconds(100));
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        log_info("\"" + command + "\" has done its work");
    else
        log_error("\"" + command + "\" failed: " +
                  (WIFEXITED(status) ? "exit code " + std::to_string(WEXITSTATUS(status))
                                     : "signal " + std::to_string(WTERMSIG(status))));
}

}  // namespace rpic
