#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>

#include "common/clock.hpp"

namespace rpic {

enum class Severity { debug, info, warning, error };

struct LogOptions {
    Severity level = Severity::info;
    bool to_stderr = true;
    std::string file;  // also written there, rotated at limits::log_file_bytes; empty: no file
};

/// Starts logging: to stderr with time and level, or with the "<N>" priorities of sd-daemon(3) when
/// stderr is systemd's journal. Throws ConfigError if the file cannot be opened. Without this call
/// warnings and errors go to stderr.
void start_log(const LogOptions& options);

bool log_enabled(Severity severity);

void log(Severity severity, std::string_view text);
inline void log_debug(std::string_view text) {
    log(Severity::debug, text);
}
inline void log_info(std::string_view text) {
    log(Severity::info, text);
}
inline void log_warning(std::string_view text) {
    log(Severity::warning, text);
}
inline void log_error(std::string_view text) {
    log(Severity::error, text);
}

/// A line that somebody else can cause. Of each class of message about the same (a peer's address
/// or a node) one line is written at once and then one a minute, which says how many were left out;
/// so nobody can fill a disk. Of an address IP:PORT the port is not counted apart.
void log_rarely(Severity severity, std::string_view message_class, std::string_view about,
                std::string_view text);

/// The same, beginning with the peer's address: "ADDRESS: text".
void log_peer(Severity severity, std::string_view message_class, std::string_view address,
              std::string_view text);

/// The decision behind these, pure: which line is written and how many like it were not.
class PeerLogLimiter {
  public:
    struct Verdict {
        bool write = false;
        std::uint64_t left_out = 0;  // since the last line written of this kind
    };

    Verdict decide(std::string_view message_class, std::string_view address, Instant now);

  private:
    struct Entry {
        Instant written;
        std::uint64_t left_out = 0;
    };
    using Key = std::string;

    Verdict decide_entry(Entry& entry, Instant now);

    std::unordered_map<Key, Entry> entries_;
    std::unordered_map<Key, Entry> overflow_;  // one a class, once entries_ is full
    Instant swept_{};
};

}  // namespace rpic
