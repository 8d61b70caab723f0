#include "common/text.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>

#include "common/limits.hpp"
#include "common/utf8.hpp"

namespace rpic {

namespace {

/// Whether a character turns the direction of the text around it, or ends its line (Unicode
/// Standard Annexes 9 and 14): with one of them in it a name could pass for another.
bool disrupts(std::string_view character) {
    if (character == "\u061C") return true;
    if (character.size() != 3 || character[0] != '\xE2') return false;
    const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(character[i]); };
    const int code = (byte(1) & 0x3F) << 6 | (byte(2) & 0x3F);  // without the 0x2000 of the first
    return code == 0x0E || code == 0x0F || (code >= 0x28 && code <= 0x2E) ||
           (code >= 0x66 && code <= 0x69);
}

/// The number at the start of `text`, which is advanced behind it; nothing for no number, a
/// negative one or one that is not finite.
std::optional<double> leading_number(std::string_view& text) {
    double number = 0;
    const auto [end, error] =
        std::from_chars(text.data(), text.data() + text.size(), number, std::chars_format::fixed);
    if (error != std::errc{} || !std::isfinite(number) || number < 0) return std::nullopt;
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    return number;
}

/// Exact below `limit`, else at least that: most words are soon seen to be too far apart.
std::size_t edit_distance(std::string_view a, std::string_view b, std::size_t limit) {
    std::vector<std::size_t> row(b.size() + 1);
    for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
    for (std::size_t i = 1; i <= a.size(); ++i) {
        std::size_t diagonal = row[0];
        row[0] = i;
        for (std::size_t j = 1; j <= b.size(); ++j) {
            const std::size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
            diagonal = row[j];
            row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
        }
        if (*std::min_element(row.begin(), row.end()) >= limit) return limit;
    }
    return row.back();
}

}  // namespace

std::string printable(std::string_view text, std::size_t max_chars) {
    std::string result;
    while (!text.empty()) {
        const std::size_t length = utf8_length(text);
        const bool control = length == 1 && (static_cast<unsigned char>(text[0]) < 0x20 ||
                                             static_cast<unsigned char>(text[0]) == 0x7F);
        // U+0080 to U+009F are control characters too: terminals obey some of them.
        const bool control_c1 = length == 2 && static_cast<unsigned char>(text[0]) == 0xC2 &&
                                static_cast<unsigned char>(text[1]) < 0xA0;
        if (result.size() + std::max<std::size_t>(length, 1) > max_chars) return result + "...";
        if (length == 0 || control || control_c1 || disrupts(text.substr(0, length)))
            result += '?';
        else
            result += text.substr(0, length);
        text.remove_prefix(std::max<std::size_t>(length, 1));
    }
    return result;
}

std::optional<Duration> parse_duration(std::string_view text) {
    const auto number = leading_number(text);
    if (!number) return std::nullopt;
    double unit_seconds = 0;
    if (text.empty() || text == "s") unit_seconds = 1;
    if (text == "ms") unit_seconds = 1e-3;
    if (text == "m") unit_seconds = 60;
    if (text == "h") unit_seconds = 3600;
    if (text == "d") unit_seconds = 86400;
    const double seconds = *number * unit_seconds;
    constexpr double hundred_years = 100 * 365.25 * 86400;
    if (unit_seconds == 0 || seconds > hundred_years) return std::nullopt;
    return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds));
}

std::optional<std::int64_t> parse_size(std::string_view text) {
    const auto number = leading_number(text);
    if (!number) return std::nullopt;
    double unit = 1;
    if (!text.empty()) {
        const auto power = std::string_view("BKMGT").find(
            static_cast<char>(std::toupper(static_cast<unsigned char>(text[0]))));
        const auto rest = lower(text.substr(1));
        if (power == std::string_view::npos) return std::nullopt;
        if (!(rest.empty() || (power > 0 && (rest == "b" || rest == "ib")))) return std::nullopt;
        unit = std::pow(1024.0, static_cast<double>(power));
    }
    const double bytes = *number * unit;
    if (bytes > 9e18) return std::nullopt;
    return static_cast<std::int64_t>(bytes);
}

std::optional<bool> parse_bool(std::string_view text) {
    const auto word = lower(text);
    if (word == "yes" || word == "true" || word == "on" || word == "1") return true;
    if (word == "no" || word == "false" || word == "off" || word == "0") return false;
    return std::nullopt;
}

std::string format_size(std::int64_t bytes) {
    double value = static_cast<double>(bytes);
    std::size_t power = 0;
    while (value >= 1023.5 && power < 4) {  // what would be rounded to 1024 is 1 of the next unit
        value /= 1024;
        ++power;
    }
    char text[32];
    const bool fraction = power > 0 && value < 9.95;
    std::snprintf(text, sizeof text, fraction ? "%.1f" : "%.0f", value);
    return power == 0 ? text : text + std::string(1, "BKMGT"[power]);
}

std::string format_duration(double seconds) {
    char text[32];
    if (seconds < 9.95)
        std::snprintf(text, sizeof text, "%.1fs", seconds);
    else if (seconds < 120)
        std::snprintf(text, sizeof text, "%.0fs", seconds);
    else if (seconds < 2 * 3600)
        std::snprintf(text, sizeof text, "%.0fm", seconds / 60);
    else if (seconds < 2 * 86400)
        std::snprintf(text, sizeof text, "%.0fh", seconds / 3600);
    else
        std::snprintf(text, sizeof text, "%.0fd", seconds / 86400);
    return text;
}

std::string nearest(std::string_view word, const std::vector<std::string>& candidates) {
    std::string best;
    std::size_t best_distance = std::max<std::size_t>(2, word.size() / 3) + 1;
    for (const auto& candidate : candidates) {
        // So many characters are missing at least: a word of a megabyte is not compared with any.
        const auto longer = std::max(word.size(), candidate.size());
        if (longer - std::min(word.size(), candidate.size()) >= best_distance) continue;
        const auto distance = edit_distance(word, candidate, best_distance);
        if (distance < best_distance) {
            best_distance = distance;
            best = candidate;
        }
    }
    return best;
}

std::string_view trim(std::string_view text) {
    constexpr std::string_view space = " \t\r\n\f\v";
    const auto first = text.find_first_not_of(space);
    if (first == std::string_view::npos) return {};
    return text.substr(first, text.find_last_not_of(space) - first + 1);
}

std::string lower(std::string_view text) {
    std::string result(text);
    for (char& c : result)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    return result;
}

std::vector<std::string> split(std::string_view text, char separator) {
    std::vector<std::string> parts;
    while (!text.empty()) {
        const auto end = text.find(separator);
        const auto part = trim(text.substr(0, end));
        if (!part.empty()) parts.emplace_back(part);
        if (end == std::string_view::npos) break;
        text.remove_prefix(end + 1);
    }
    return parts;
}

std::optional<HostPort> parse_host_port(std::string_view text, std::uint16_t default_port) {
    std::string_view host = text;
    std::string_view port;
    bool has_port = false;
    if (!text.empty() && text[0] == '[') {
        const auto end = text.find(']');
        if (end == std::string_view::npos) return std::nullopt;
        host = text.substr(1, end - 1);
        const auto rest = text.substr(end + 1);
        if (!rest.empty() && rest[0] != ':') return std::nullopt;
        has_port = !rest.empty();
        port = has_port ? rest.substr(1) : rest;
    } else if (const auto colon = text.find(':');
               colon != std::string_view::npos &&
               text.find(':', colon + 1) == std::string_view::npos) {
        host = text.substr(0, colon);
        has_port = true;
        port = text.substr(colon + 1);
    }
    const auto impossible = [](char c) {
        return static_cast<unsigned char>(c) <= ' ' || c == '/' || c == '@' || c == '[' || c == ']';
    };
    if (host.empty() || std::any_of(host.begin(), host.end(), impossible)) return std::nullopt;
    HostPort result{std::string(host), default_port};
    if (has_port) {
        const auto [end, error] =
            std::from_chars(port.data(), port.data() + port.size(), result.port);
        if (error != std::errc{} || end != port.data() + port.size() || result.port == 0)
            return std::nullopt;
    }
    return result;
}

std::string format_host_port(std::string_view host, std::uint16_t port) {
    const bool v6 = host.find(':') != std::string_view::npos;
    std::string text = v6 ? "[" + std::string(host) + "]" : std::string(host);
    return text + ":" + std::to_string(port);
}

std::string node_name(std::string_view wish) {
    std::string name;
    for (const char c : wish) {
        const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        const bool digit = c >= '0' && c <= '9';
        const bool inner = !name.empty() && (c == '.' || c == '_' || c == '-');
        if ((letter || digit || inner) && name.size() < limits::name_chars) name += c;
    }
    return name;
}

bool is_blob_name(std::string_view text) {
    return text.size() == 64 &&
           text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

}  // namespace rpic
