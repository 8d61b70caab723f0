#include "common/log.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <boost/log/attributes/clock.hpp>
#include <boost/log/core.hpp>
#include <boost/log/expressions.hpp>
#include <boost/log/sinks/basic_sink_backend.hpp>
#include <boost/log/sinks/frontend_requirements.hpp>
#include <boost/log/sinks/sync_frontend.hpp>
#include <boost/log/sinks/text_file_backend.hpp>
#include <boost/log/sources/record_ostream.hpp>
#include <boost/log/sources/severity_logger.hpp>
#include <boost/log/support/date_time.hpp>
#include <boost/log/utility/exception_handler.hpp>
#include <boost/make_shared.hpp>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "common/errors.hpp"
#include "common/limits.hpp"
#include "common/line_writer.hpp"
#include "common/text.hpp"

namespace rpic {

namespace {

namespace logging = boost::log;
namespace expr = boost::log::expressions;

Severity lowest = Severity::warning;
bool started = false;

logging::sources::severity_logger<Severity>& logger() {
    static logging::sources::severity_logger<Severity> instance;
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

void write_journal_line(const logging::record_view& record, logging::formatting_ostream& out) {
    const auto severity = record["Severity"].extract<Severity>();
    out << '<' << priority(severity.get()) << '>' << record[expr::smessage];
}

void write_line(const logging::record_view& record, logging::formatting_ostream& out) {
    const auto severity = record["Severity"].extract<Severity>();
    timespec now{};
    clock_gettime(CLOCK_REALTIME, &now);
    const auto time = rfc3339(now.tv_sec);
    char fraction[8];
    std::snprintf(fraction, sizeof fraction, ".%03dZ", static_cast<int>(now.tv_nsec / 1'000'000));
    out << time.substr(0, time.size() - 1) << fraction << ' ' << level_name(severity.get()) << ' '
        << record[expr::smessage];
}

/// A stream would wait for a reader who does not read, and never recover from one failed write.
class StderrBackend
    : public logging::sinks::basic_formatted_sink_backend<char,
                                                          logging::sinks::synchronized_feeding> {
  public:
    void consume(const logging::record_view&, const string_type& line) { writer_.write(line); }

  private:
    LineWriter writer_{STDERR_FILENO};
};

void add_stderr() {
    using Sink = logging::sinks::synchronous_sink<StderrBackend>;
    auto sink = boost::make_shared<Sink>();
    sink->set_formatter(stderr_is_journal() ? &write_journal_line : &write_line);
    sink->set_exception_handler(logging::make_exception_suppressor());
    logging::core::get()->add_sink(sink);
}

void add_file(const std::string& file) {
    namespace keywords = logging::keywords;
    const auto path = std::filesystem::absolute(file);
    std::FILE* probe = std::fopen(path.c_str(), "ae");
    if (probe == nullptr)
        throw ConfigError("cannot write the log file " + file +
                          ": make its folder or choose another with --log-file");
    std::fclose(probe);
    using Sink = logging::sinks::synchronous_sink<logging::sinks::text_file_backend>;
    auto sink = boost::make_shared<Sink>(
        keywords::file_name = path.string(), keywords::target_file_name = path.string() + ".%5N",
        keywords::open_mode = std::ios_base::out | std::ios_base::app,
        keywords::rotation_size = limits::log_file_bytes, keywords::auto_flush = true,
        keywords::enable_final_rotation = false);
    sink->locked_backend()->set_file_collector(logging::sinks::file::make_collector(
        keywords::target = path.parent_path().string(), keywords::max_files = limits::log_files));
    sink->locked_backend()->scan_for_files();
    sink->set_formatter(&write_line);
    sink->set_exception_handler(logging::make_exception_suppressor());
    logging::core::get()->add_sink(sink);
}

}  // namespace

void start_log(const LogOptions& options) {
    logging::core::get()->set_exception_handler(logging::make_exception_suppressor());
    logging::core::get()->remove_all_sinks();
    if (options.to_stderr) add_stderr();
    // Without any sink Boost.Log writes to stdout.
    logging::core::get()->set_logging_enabled(options.to_stderr || !options.file.empty());
    if (!options.file.empty()) add_file(options.file);
    lowest = options.level;
    started = true;
}

bool log_enabled(Severity severity) {
    return severity >= lowest;
}

void log(Severity severity, std::string_view text) {
    if (!log_enabled(severity)) return;
    if (!started) {
        std::fprintf(stderr, "%.*s\n", static_cast<int>(text.size()), text.data());
        return;
    }
    BOOST_LOG_SEV(logger(), severity) << text;
}

void log_rarely(Severity severity, std::string_view message_class, std::string_view about,
                std::string_view text) {
    static PeerLogLimiter limiter;
    if (!log_enabled(severity)) return;
    const auto verdict = limiter.decide(message_class, about, Clock::now());
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
