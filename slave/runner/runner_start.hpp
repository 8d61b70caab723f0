#pragma once

#include <sys/types.h>

#include <filesystem>
#include <string>

namespace rpic {

/// Where rpicluster-runner is: beside this program, else in PATH. Throws ConfigError.
std::filesystem::path find_runner();

/// A start of the runner that is under way. The program goes to the background by itself: its first
/// process, a child of this one, ends with 0 as soon as the runner listens.
class RunnerStart {
  public:
    /// Throws ConfigError if the program cannot be run.
    RunnerStart(const std::filesystem::path& program, const std::filesystem::path& folder,
                const std::string& log_file);
    ~RunnerStart();
    RunnerStart(const RunnerStart&) = delete;
    RunnerStart& operator=(const RunnerStart&) = delete;

    /// Whether it has succeeded; does not wait. Throws ConfigError, with what the program said, if
    /// it has failed.
    bool ready();

  private:
    pid_t child_ = -1;
    int complaints_ = -1;  // its stderr
    std::filesystem::path program_;
};

}  // namespace rpic
