#include "slave/runner/runner_log.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "common/clock.hpp"
#include "common/limits.hpp"
#include "common/text.hpp"

namespace rpic {

void note(std::string_view text) {
    const auto line =
        rfc3339(wall_seconds()) + " " + printable(text, limits::log_line_chars) + "\n";
    [[maybe_unused]] const auto written = ::write(STDERR_FILENO, line.data(), line.size());
}

void open_log_file(const char* path) {
    const int file = ::open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (file < 0)
        return note(std::string("cannot open the log file ") + path + ": " + std::strerror(errno));
    struct stat status {};
    const bool grown = ::fstat(file, &status) == 0 &&
                       static_cast<std::size_t>(status.st_size) > limits::log_file_bytes;
    if (grown && ::ftruncate(file, 0) != 0)
        note("cannot empty the log file, which has grown large");
    ::dup2(file, STDERR_FILENO);
    ::close(file);
}

}  // namespace rpic
