#include "slave/runner/runner_start.hpp"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <cstring>

#include "common/errors.hpp"
#include "common/limits.hpp"
#include "common/shell_quote.hpp"
#include "common/text.hpp"

namespace rpic {

std::filesystem::path find_runner() {
    constexpr const char* name = "rpicluster-runner";
    std::error_code error;
    const auto beside = std::filesystem::read_symlink("/proc/self/exe", error).parent_path() / name;
    if (::access(beside.c_str(), X_OK) == 0) return beside;
    const char* path = std::getenv("PATH");
    for (const auto& folder : split(path == nullptr ? "/usr/local/bin:/usr/bin:/bin" : path, ':')) {
        const auto candidate = std::filesystem::path(folder) / name;
        if (::access(candidate.c_str(), X_OK) == 0) return candidate;
    }
    throw ConfigError("there is no rpicluster-runner beside this program (" + beside.string() +
                      ") nor in PATH: no task can run here; install it there");
}

RunnerStart::RunnerStart(std::vector<std::string> words) : shown_(shell_line(words)) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0)
        throw ConfigError(std::string("cannot start the runner: ") + std::strerror(errno));
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDWR, 0);
    posix_spawn_file_actions_adddup2(&actions, 0, 1);
    posix_spawn_file_actions_adddup2(&actions, ends[1], 2);
    posix_spawnattr_t attributes;
    posix_spawnattr_init(&attributes);
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setflags(&attributes,
                             POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    std::vector<char*> arguments;
    for (auto& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    // Nothing of this program's environment reaches the runner or its tasks.
    std::string path = "PATH=";
    const char* own_path = std::getenv("PATH");
    path += own_path == nullptr ? "/usr/local/bin:/usr/bin:/bin" : own_path;
    char* environment[] = {path.data(), nullptr};
    const int error = ::posix_spawn(&child_, words[0].c_str(), &actions, &attributes,
                                    arguments.data(), environment);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    ::close(ends[1]);
    complaints_ = ends[0];
    if (error == 0) return;
    ::close(complaints_);
    throw ConfigError("cannot run " + shown_ + ": " + std::strerror(error) +
                      "; no task can run here");
}

RunnerStart::~RunnerStart() {
    // One that has not ended by now hangs, or nobody wants its runner any more.
    if (!ended()) {
        ::kill(child_, SIGKILL);
        ended();
    }
    ::close(complaints_);
}

bool RunnerStart::ended() {
    if (child_ > 0 && ::waitpid(child_, &status_, WNOHANG) == 0) return false;
    child_ = -1;
    return true;
}

bool RunnerStart::ready() {
    if (!ended()) return false;
    if (status_ == 0) return true;
    char text[limits::text_chars];
    const auto size = ::read(complaints_, text, sizeof text);
    const std::string_view said(text, size > 0 ? static_cast<std::size_t>(size) : 0);
    throw ConfigError(
        shown_ + " could not start: " +
        (said.empty() ? "it ended at once" : printable(trim(said), limits::text_chars)));
}

}  // namespace rpic
