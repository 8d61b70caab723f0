#pragma once

#include <sys/types.h>

#include <filesystem>
#include <string>
#include <vector>

namespace rpic {

/// Where rpicluster-runner is: beside this program, else in PATH. Throws ConfigError.
std::filesystem::path find_runner();

/// A start of the runner that is under way. What is run ends with 0 as soon as the runner listens:
/// it goes to the background by itself, or is a command that asks somebody else for it.
class RunnerStart {
  public:
    /// Throws ConfigError if the program, the first of the words, cannot be run.
    explicit RunnerStart(std::vector<std::string> words);
    ~RunnerStart();
    RunnerStart(const RunnerStart&) = delete;
    RunnerStart& operator=(const RunnerStart&) = delete;

    /// Whether it has ended, well or not; does not wait. One that nobody asks until then stays in
    /// the system's table of processes as long as this program runs.
    bool ended();

    /// Whether it has succeeded; does not wait. Throws ConfigError, with what the program said, if
    /// it has failed.
    bool ready();

  private:
    pid_t child_ = -1;     // until it has ended
    int status_ = 0;       // as of waitpid(2)
    int complaints_ = -1;  // its stderr
    std::string shown_;    // what is run, for messages
};

}  // namespace rpic
