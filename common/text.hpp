#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/clock.hpp"

/// Small pure functions on text: what people write in flags and files, and what they read back.
namespace rpic {

/// A text that a stranger sent, fit for one log line or table cell: control characters, marks that
/// turn the direction of the text around them and broken UTF-8 become '?', more than `max_chars`
/// bytes are cut at a character and end in "...".
std::string printable(std::string_view text, std::size_t max_chars);

/// N[ms|s|m|h|d], a plain number is seconds, fractions allowed: "1.5h". Nothing if it is not that.
std::optional<Duration> parse_duration(std::string_view text);

/// N[K|M|G|T][iB|B], powers of 1024, fractions allowed: "1.5G". Nothing if it is not that.
std::optional<std::int64_t> parse_size(std::string_view text);

/// yes/no, true/false, on/off, 1/0. Nothing if it is not that.
std::optional<bool> parse_bool(std::string_view text);

/// For people: "3.7G", "512K", "17".
std::string format_size(std::int64_t bytes);

/// For people: "0.4s", "17s", "3m", "2h", "5d".
std::string format_duration(double seconds);

/// The candidate that `word` most likely meant; empty if none is near.
std::string nearest(std::string_view word, const std::vector<std::string>& candidates);

std::string_view trim(std::string_view text);
std::string lower(std::string_view text);
std::vector<std::string> split(std::string_view text, char separator);  // trimmed, no empty parts

/// HOST, HOST:PORT, [V6]:PORT, a bare V6 address. Nothing for an empty host or a port outside
/// 1..65535.
struct HostPort {
    std::string host;
    std::uint16_t port = 0;
};
std::optional<HostPort> parse_host_port(std::string_view text, std::uint16_t default_port);

/// "127.0.0.1:80" or "[::1]:80".
std::string format_host_port(std::string_view host, std::uint16_t port);

/// A name fit for a node: letters, digits, '.', '_' and '-' of the wish, at most
/// limits::name_chars; empty if nothing is left.
std::string node_name(std::string_view wish);

/// Whether a text can name a blob: 64 lower-case hex digits.
bool is_blob_name(std::string_view text);

}  // namespace rpic
