#pragma once

#include <boost/asio/awaitable.hpp>
#include <functional>
#include <string>

namespace rpic {

/// What every program does before anything else: no SIGPIPE, private files, no core files, as many
/// descriptors as allowed.
void prepare_process();

/// Whether a core file of this program, or of one that it starts, would hold what was in memory.
/// Keys are there: after prepare_process() it would not.
void core_files_hold_memory(bool yes);

/// In a container the first process has to be its init, too. There this forks: the child returns
/// and becomes the program, and what stays behind collects the orphans that end, hands signals on
/// to the child, and ends with its exit code. Elsewhere it does nothing. To be called first of all.
void leave_init_behind();

/// Runs the body of main(). What it throws becomes one line on stderr and the exit code: 78 for
/// ConfigError, 1 for anything else.
int guarded_main(const char* program, const std::function<int()>& body);

/// `--ensure`: the part of a start that goes to the background. The parent waits until the child is
/// ready, then exits with 0, or with the child's code if it failed; the child's complaints reach
/// the parent's stderr until then.
class Background {
  public:
    /// Forks, if `wanted`; returns in the child alone. To be called before any thread is made.
    explicit Background(bool wanted);

    /// The program runs: lets the parent go, and stderr with it; or tells the service manager.
    void ready();

  private:
    int pipe_ = -1;
};

/// Thrown by wait_for_stop(); `what()` is the signal's name.
struct StopRequest {
    std::string signal;
};

/// Lives until SIGTERM or SIGINT, then throws StopRequest. A second signal ends the process at
/// once.
boost::asio::awaitable<void> wait_for_stop();

}  // namespace rpic
