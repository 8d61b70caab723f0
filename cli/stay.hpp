#pragma once

#include <functional>
#include <string>

#include "cli/client.hpp"
#include "common/task_output.hpp"

/// What `run`, `attach`, `map`, `exec` and `logs` share: to stay with a job until it ends, or until
/// the user goes.
namespace rpic {

/// Where outputs go. Tests take files of their own.
struct Console {
    std::FILE* out = stdout;
    std::FILE* err = stderr;

    /// stdout to stdout, the rest to stderr. Throws OutputClosedError.
    void write(OutputStream stream, std::string_view bytes) const;
    /// A line of our own on stderr.
    void say(const std::string& text) const;
};

/// Does `stay` and gives the exit code. Ctrl-C once: says how to come back to the job or cancel it,
/// and leaves it alone, unless Ctrl-C comes again at once; then it is cancelled. The job is left
/// alone, too, when nobody reads the output any more.
int stay_with(Client& client, const std::string& job, const Console& console,
              const std::function<int()>& stay);

/// Shows the output of a job's only task as it comes; gives the task's exit code.
int stay_with_task(Client& client, const std::string& job, const Console& console);

}  // namespace rpic
