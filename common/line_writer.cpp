#include "common/line_writer.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <climits>
#include <string>

namespace rpic {

namespace {

bool is_socket(int descriptor) {
    struct stat status {};
    return ::fstat(descriptor, &status) == 0 && S_ISSOCK(status.st_mode);
}

}  // namespace

LineWriter::LineWriter(int descriptor) : descriptor_(descriptor), socket_(is_socket(descriptor)) {}

void LineWriter::write(std::string_view line) {
    std::string text = torn_ ? "\n" : "";
    std::string note;
    if (left_out_ > 0) note = " (" + std::to_string(left_out_) + " lines before it were lost)";
    text += line.substr(0, PIPE_BUF - text.size() - note.size() - 1);
    text += note + '\n';
    switch (put(text)) {
        case Outcome::written:
            torn_ = false;
            left_out_ = 0;
            return;
        case Outcome::torn:
            torn_ = true;
            break;
        case Outcome::refused:
            break;
    }
    ++left_out_;
}

LineWriter::Outcome LineWriter::put(std::string_view text) const {
    pollfd room{descriptor_, POLLOUT, 0};
    if (::poll(&room, 1, 0) != 1 || (room.revents & POLLOUT) == 0) return Outcome::refused;
    const auto flags = MSG_DONTWAIT | MSG_NOSIGNAL;
    const auto written = socket_ ? ::send(descriptor_, text.data(), text.size(), flags)
                                 : ::write(descriptor_, text.data(), text.size());
    if (written <= 0) return Outcome::refused;
    const bool all = static_cast<std::size_t>(written) == text.size();
    return all ? Outcome::written : Outcome::torn;
}

}  // namespace rpic
