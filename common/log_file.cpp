#include "common/log_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <system_error>

#include "common/errors.hpp"
#include "common/limits.hpp"

namespace rpic {

LogFile::LogFile(const std::string& file) : path_(std::filesystem::absolute(file)) {
    open();
    if (!file_)
        throw ConfigError("cannot write the log file " + file +
                          ": make its folder or choose another with --log-file");
}

void LogFile::open() {
    file_ = Descriptor(
        ::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0600));
    struct stat status {};
    const bool known = file_ && ::fstat(file_.get(), &status) == 0;
    size_ = known ? static_cast<std::uint64_t>(status.st_size) : 0;
}

void LogFile::write(std::string_view line) {
    std::string text = torn_ ? "\n" : "";
    text.append(line).append("\n");
    if (size_ > 0 && size_ + text.size() > limits::log_file_bytes) rotate();
    const auto written = ::write(file_.get(), text.data(), text.size());
    if (written <= 0) return;
    size_ += static_cast<std::uint64_t>(written);
    torn_ = static_cast<std::size_t>(written) < text.size();
}

void LogFile::rotate() {
    const auto numbered = [&](std::size_t number) {
        auto path = path_;
        return path += "." + std::to_string(number);
    };
    std::error_code error;
    for (auto number = limits::log_files; number > 1; --number)
        std::filesystem::rename(numbered(number - 1), numbered(number), error);
    std::filesystem::rename(path_, numbered(1), error);
    // A folder that lets nobody rename must not make the file grow for ever.
    if (error && ::ftruncate(file_.get(), 0) == 0) size_ = 0;
    if (!error) open();
    torn_ = false;
}

}  // namespace rpic
