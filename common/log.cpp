#include "common/log.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <optional>

#include "common/limits.hpp"
#include "common/line_writer.hpp"
#include "common/log_file.hpp"
#include "common/text.hpp"

namespace rpic {

namespace {

/// Where lines go. Any thread may log.
struct Log {
    std::mutex mutex;
    bool started = false;
    bool journal = false;  // standard error is systemd's journal
    std::optional<LineWriter> standard_error;
    std::optional<LogFile> file;
};

Severity lowest = Severity::warning;

Log& the_log() {
    static auto& instance = *new Log;  // never destroyed: threads may log until the very end
    return instance;
}

const char* level_name(Severity severity) {
    switch (severity) {
        case Severity::debug:
            return "debug  ";
        case Severity::info:
            return "info   ";
        case Severity::warning:
            return "warning";
        case Severity::error:
            return "error  ";
    }
    return "";
}

/// Priorities of syslog(3), as sd-daemon(3) wants them.
int priority(Severity severity) {
    switch (severity) {
        case Severity::debug:
            return 7;
        case Severity::info:
            return 6;
        case Severity::warning:
            return 4;
        case Severity::error:
            return 3;
    }
    return 6;
}

/// systemd.exec(5): $JOURNAL_STREAM names device and inode of the journal's stream; only if stderr
/// still is that stream are its lines read by the journal.
bool stderr_is_journal() {
    const char* stream = std::getenv("JOURNAL_STREAM");
    struct stat status {};
    if (stream == nullptr || fstat(2, &status) != 0) return false;
    return std::to_string(status.st_dev) + ":" + std::to_string(status.st_ino) == stream;
}

std::string line_of(Severity severity, std::string_view text) {
    timespec now{};
    clock_gettime(CLOCK_REALTIME, &now);
    const auto time = rfc3339(now.tv_sec);
    char fraction[8];
    std::snprintf(fraction, sizeof fraction, ".%03dZ", static_cast<int>(now.tv_nsec / 1'000'000));
    auto line = time.substr(0, time.size() - 1) + fraction + ' ' + level_name(severity) + ' ';
    return line.append(text);
}

}  // namespace

void start_log(const LogOptions& options) {
    auto& log = the_log();
    const std::lock_guard lock(log.mutex);
    log.journal = stderr_is_journal();
    log.standard_error.reset();
    log.file.reset();
    if (options.to_stderr) log.standard_error.emplace(STDERR_FILENO);
    if (!options.file.empty()) log.file.emplace(options.file);
    lowest = options.level;
    log.started = true;
}

bool log_enabled(Severity severity) {
    return severity >= lowest;
}

void log(Severity severity, std::string_view text) {
    if (!log_enabled(severity)) return;
    auto& log = the_log();
    const std::lock_guard lock(log.mutex);
    if (!log.started) {
        std::fprintf(stderr, "%.*s\n", static_cast<int>(text.size()), text.data());
        return;
    }
    const auto line = line_of(severity, text);
    if (log.file) log.file->write(line);
    if (!log.standard_error) return;
    // A stream would wait for a reader who does not read, and never recover from a failed write.
    if (log.journal)
        log.standard_error->write('<' + std::to_string(priority(severity)) + '>' +
                                  std::string(text));
    else
        log.standard_error->write(line);
}

void log_rarely(Severity severity, std::string_view message_class, std::string_view about,
                std::string_view text) {
    static PeerLogLimiter limiter;
    static std::mutex mutex;  // helper threads have something to say, too
    if (!log_enabled(severity)) return;
    const auto verdict = [&] {
        const std::lock_guard lock(mutex);
        return limiter.decide(message_class, about, Clock::now());
    }();
    if (!verdict.write) return;
    std::string line = printable(text, limits::log_line_chars);
    if (verdict.left_out > 0)
        line += " (and " + std::to_string(verdict.left_out) + " more like this in between)";
    log(severity, line);
}

void log_peer(Severity severity, std::string_view message_class, std::string_view address,
              std::string_view text) {
    log_rarely(severity, message_class, address, std::string(address) + ": " + std::string(text));
}

PeerLogLimiter::Verdict PeerLogLimiter::decide(std::string_view message_class,
                                               std::string_view address, Instant now) {
    if (now - swept_ >= limits::peer_log_interval) {
        std::erase_if(entries_, [&](const auto& entry) {
            return now - entry.second.written >= 2 * limits::peer_log_interval;
        });
        swept_ = now;
    }
    const auto host = parse_host_port(address, 1);
    Key key(message_class);
    key += ' ';
    key += host ? host->host : std::string(address);
    if (auto known = entries_.find(key); known != entries_.end())
        return decide_entry(known->second, now);
    if (entries_.size() < limits::peer_log_entries) {
        entries_[key].written = now;
        return {true, 0};
    }
    const auto [shared, first] = overflow_.try_emplace(std::string(message_class));
    if (!first) return decide_entry(shared->second, now);
    shared->second.written = now;
    return {true, 0};
}

PeerLogLimiter::Verdict PeerLogLimiter::decide_entry(Entry& entry, Instant now) {
    if (now - entry.written < limits::peer_log_interval) {
        ++entry.left_out;
        return {false, 0};
    }
    const Verdict verdict{true, entry.left_out};
    entry.written = now;
    entry.left_out = 0;
    return verdict;
}

}  // namespace rpic
