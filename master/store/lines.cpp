#include "master/store/lines.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>
#include <stdexcept>
#include <utility>

#include "common/limits.hpp"

namespace rpic {

namespace {

[[noreturn]] void damaged() {
    throw std::runtime_error("a damaged row of results or tasks");
}

void append_number(std::string& line, std::int64_t number) {
    char digits[24];
    const auto end = std::to_chars(digits, digits + sizeof digits, number).ptr;
    line.append(digits, end);
}

void append_field(std::string& line, std::int64_t number) {
    line.push_back(' ');
    append_number(line, number);
}

/// Bytes that would end a field or a line become %XX. With `spaces` the field is the last one of
/// its line, and spaces stay.
void append_text(std::string& line, std::string_view text, bool spaces = false) {
    constexpr const char* hex = "0123456789abcdef";
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte > ' ' && c != '%' && c != '=' && c != '-')
            line.push_back(c);
        else if ((c == ' ' && spaces) || (c == '-' && text.size() > 1))
            line.push_back(c);
        else
            line.append({'%', hex[byte >> 4], hex[byte & 15]});
    }
}

int hex_value(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    damaged();
}

std::string text_of(std::string_view field) {
    std::string text;
    text.reserve(field.size());
    for (std::size_t i = 0; i < field.size(); ++i) {
        if (field[i] != '%') {
            text.push_back(field[i]);
            continue;
        }
        if (i + 2 >= field.size()) damaged();
        text.push_back(static_cast<char>(hex_value(field[i + 1]) << 4 | hex_value(field[i + 2])));
        i += 2;
    }
    return text;
}

std::int64_t number_of(std::string_view field) {
    std::int64_t number = 0;
    const auto* end = field.data() + field.size();
    const auto result = std::from_chars(field.data(), end, number);
    if (result.ec != std::errc{} || result.ptr != end) damaged();
    return number;
}

/// Takes what stands before the separator, and the separator.
std::string_view take(std::string_view& text, char separator) {
    const auto end = text.find(separator);
    const auto field = text.substr(0, end);
    text.remove_prefix(end == text.npos ? text.size() : end + 1);
    return field;
}

std::int64_t take_number(std::string_view& text, char separator = ' ') {
    return number_of(take(text, separator));
}

/// As take_number, for what is never negative, nor larger than `most`.
std::int64_t take_count(std::string_view& text, std::int64_t most = INT64_MAX) {
    const auto number = take_number(text);
    if (number < 0 || number > most) damaged();
    return number;
}

std::int64_t microseconds(double seconds) {
    if (!(seconds > 0)) return 0;
    return std::llround(std::min(seconds, 1e9) * 1e6);
}

char letter_of(std::string_view state) {
    if (state == "done") return 'd';
    return state == "cancelled" ? 'c' : 'f';
}

TaskState state_of(char letter) {
    if (letter == 'd') return TaskState::done;
    if (letter == 'c') return TaskState::cancelled;
    if (letter != 'f') damaged();
    return TaskState::failed;
}

/// Takes the state and the round from the front of what says how it ended.
TaskState take_state(std::string_view& letters, std::int64_t& round) {
    if (letters.empty()) damaged();
    const auto state = state_of(letters.front());
    letters.remove_prefix(1);
    round = 0;
    if (letters.empty() || letters.front() != 'a') return state;
    const auto digits = letters.substr(1, letters.find_first_of("xs") - 1);
    letters.remove_prefix(1 + digits.size());
    round = number_of(digits);
    if (round < 0) damaged();
    return state;
}

/// What few results have, each behind a letter of its own.
void append_rare(std::string& line, const TaskResult& result, const OutputPlace& place) {
    if (place.in != OutputPlace::In::nothing) {
        line += place.in == OutputPlace::In::row ? " i" : " o";
        if (place.in == OutputPlace::In::segment) {
            append_number(line, place.segment);
            line.push_back(':');
        }
        append_number(line, place.offset);
        line.push_back(':');
        append_number(line, place.size);
    }
    if (result.output_bytes != place.size) {
        line += " n";
        append_number(line, result.output_bytes);
    }
    if (!result.output_blob.empty()) append_text(line += " b", result.output_blob);
    if (!result.files.empty()) append_text(line += " f", result.files);
    if (!result.reason.empty()) append_text(line += " r", result.reason, true);
}

void read_rare(std::string_view rest, TaskResult& result, OutputPlace& place) {
    std::optional<std::int64_t> output_bytes;
    while (!rest.empty()) {
        const char letter = rest.front();
        rest.remove_prefix(1);
        auto field = letter == 'r' ? std::exchange(rest, {}) : take(rest, ' ');
        if (letter == 'i' || letter == 'o') {
            place.in = letter == 'i' ? OutputPlace::In::row : OutputPlace::In::segment;
            if (letter == 'o') place.segment = take_number(field, ':');
            place.offset = take_number(field, ':');
            place.size = number_of(field);
            if (place.segment < 0 || place.offset < 0 || place.size < 0) damaged();
        } else if (letter == 'n') {
            output_bytes = number_of(field);
        } else if (letter == 'b') {
            result.output_blob = text_of(field);
        } else if (letter == 'f') {
            result.files = text_of(field);
        } else if (letter == 'r') {
            result.reason = text_of(field);
        } else {
            damaged();
        }
    }
    result.output_bytes = output_bytes.value_or(place.size);
}

}  // namespace

void ResultLineWriter::append(std::string& lines, const TaskResult& result,
                              const OutputPlace& place) {
    append_number(lines, result.position);
    lines += {' ', letter_of(result.state)};
    if (result.round > 0) {
        lines.push_back('a');
        append_number(lines, result.round);
    }
    if (result.exit_code) {
        lines.push_back('x');
        append_number(lines, *result.exit_code);
    }
    if (result.signal) {
        lines.push_back('s');
        append_number(lines, *result.signal);
    }
    append_field(lines, result.attempt);
    lines.push_back(' ');
    if (result.node.empty())
        lines.push_back('-');
    else if (result.node == node_)
        lines.push_back('=');
    else
        append_text(lines, result.node);
    append_field(lines, result.started_at_ms - started_at_ms_);
    append_field(lines, microseconds(result.duration_seconds));
    append_field(lines, microseconds(result.cpu_seconds));
    append_field(lines, (result.max_rss_bytes + 1023) / 1024);
    append_rare(lines, result, place);
    lines.push_back('\n');
    if (!result.node.empty()) node_ = result.node;
    started_at_ms_ = result.started_at_ms;
}

bool ResultLineReader::next(TaskResult& result, OutputPlace& place) {
    if (rest_.empty()) return false;
    auto line = take(rest_, '\n');
    result = {};
    place = {};
    result.job = job_;
    result.position = take_count(line);
    auto end = take(line, ' ');
    result.state = state_name(take_state(end, result.round));
    if (!end.empty() && end.front() == 'x') {
        const auto code = end.substr(1, end.find('s') - 1);
        result.exit_code = number_of(code);
        end.remove_prefix(1 + code.size());
    }
    if (!end.empty() && end.front() == 's') {
        result.signal = number_of(end.substr(1));
        end = {};
    }
    if (!end.empty()) damaged();
    result.attempt = take_count(line);
    const auto node = take(line, ' ');
    if (node != "=" && node != "-") node_ = text_of(node);
    if (node != "-") result.node = node_;
    if (__builtin_add_overflow(started_at_ms_, take_number(line), &started_at_ms_)) damaged();
    result.started_at_ms = started_at_ms_;
    result.duration_seconds = static_cast<double>(take_number(line)) / 1e6;
    result.cpu_seconds = static_cast<double>(take_number(line)) / 1e6;
    result.max_rss_bytes = take_count(line, INT64_MAX / 1024) * 1024;
    read_rare(line, result, place);
    return true;
}

bool ResultLineReader::next_end(ResultEnd& end) {
    if (rest_.empty()) return false;
    auto line = take(rest_, '\n');
    end.position = take_count(line);
    auto letters = take(line, ' ');
    end.state = take_state(letters, end.round);
    end.attempt = take_count(line, highest_attempt);
    return true;
}

std::string task_line(const TaskRecord& record) {
    std::string line;
    append_number(line, record.last_attempt);
    append_field(line, record.failures);
    append_field(line, record.deaths);
    append_field(line, record.cancelled ? 1 : 0);
    line.push_back(' ');
    append_text(line, record.avoid);
    for (const auto& attempt : record.live) {
        append_field(line, attempt.number);
        line.push_back(' ');
        append_text(line, attempt.node);
        append_field(line, attempt.started_at);
    }
    return line;
}

TaskRecord task_of_line(JobId job, Position position, std::string_view line) {
    TaskRecord record;
    record.job = job;
    record.position = position;
    record.last_attempt = take_count(line, highest_attempt);
    record.failures = take_count(line, limits::tasks_per_job);
    record.deaths = take_count(line, limits::tasks_per_job);
    record.cancelled = take_number(line) != 0;
    record.avoid = text_of(take(line, ' '));
    while (!line.empty()) {
        if (record.live.size() >= limits::live_attempts) damaged();
        auto& attempt = record.live.emplace_back();
        attempt.number = take_count(line, highest_attempt);
        attempt.node = text_of(take(line, ' '));
        attempt.started_at = take_number(line);
    }
    return record;
}

}  // namespace rpic
