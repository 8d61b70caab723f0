#pragma once

#include <string_view>

namespace rpic {

/// A line of the runner's log, with the time: to stderr, which is the log file if there is one. The
/// runner says little: it does without the logging library of the larger programs.
void note(std::string_view text);

/// Sends stderr to a file, which is emptied first if it has grown above limits::log_file_bytes.
/// Without one that can be opened lines are lost, not tasks.
void open_log_file(const char* path);

}  // namespace rpic
