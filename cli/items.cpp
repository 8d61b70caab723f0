#include "cli/items.hpp"

#include "common/errors.hpp"
#include "common/limits.hpp"
#include "common/text.hpp"

namespace rpic {

namespace {

/// How many bytes the character at the beginning takes; 0 if it is none.
std::size_t character_length(std::string_view text) {
    const auto byte = [&](std::size_t at) { return static_cast<unsigned char>(text[at]); };
    const auto first = byte(0);
    if (first < 0x80) return 1;
    const std::size_t length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
    if (first < 0xC2 || first > 0xF4 || text.size() < length) return 0;
    for (std::size_t i = 1; i < length; ++i)
        if ((byte(i) & 0xC0) != 0x80) return 0;
    // Overlong forms, halves of surrogate pairs, and what lies beyond the last character.
    const bool wrong = (first == 0xE0 && byte(1) < 0xA0) || (first == 0xED && byte(1) > 0x9F) ||
                       (first == 0xF0 && byte(1) < 0x90) || (first == 0xF4 && byte(1) > 0x8F);
    return wrong ? 0 : length;
}

}  // namespace

bool is_utf8(std::string_view bytes) {
    while (!bytes.empty()) {
        const auto length = character_length(bytes);
        if (length == 0) return false;
        bytes.remove_prefix(length);
    }
    return true;
}

std::string as_utf8(std::string_view bytes) {
    std::string text;
    text.reserve(bytes.size());
    while (!bytes.empty()) {
        const auto length = character_length(bytes);
        if (length == 0)
            text += "\xEF\xBF\xBD";
        else
            text += bytes.substr(0, length);
        bytes.remove_prefix(length == 0 ? 1 : length);
    }
    return text;
}

std::size_t incomplete_tail(std::string_view bytes) {
    for (std::size_t tail = 1; tail <= 3 && tail <= bytes.size(); ++tail) {
        const auto byte = static_cast<unsigned char>(bytes[bytes.size() - tail]);
        if ((byte & 0xC0) == 0x80) continue;
        const std::size_t length = byte >= 0xF0 ? 4 : byte >= 0xE0 ? 3 : byte >= 0xC0 ? 2 : 1;
        return length > tail ? tail : 0;
    }
    return 0;
}

void ItemList::add(std::string_view item) {
    const auto begin = bytes_.size();
    bytes_ += item;
    close_item(begin);
    line_begin_ = bytes_.size();
}

void ItemList::feed_lines(std::string_view piece) {
    while (!piece.empty()) {
        const auto end = piece.find('\n');
        bytes_ += piece.substr(0, end);
        if (bytes_.size() - line_begin_ > limits::item_bytes + 1) close_line();
        if (end == std::string_view::npos) return;
        close_line();
        piece.remove_prefix(end + 1);
    }
}

void ItemList::end_lines() {
    if (bytes_.size() > line_begin_) close_line();
}

void ItemList::close_line() {
    if (bytes_.size() > line_begin_ && bytes_.back() == '\r') bytes_.pop_back();
    close_item(line_begin_);
    line_begin_ = bytes_.size();
}

void ItemList::close_item(std::size_t begin) {
    const auto item = std::string_view(bytes_).substr(begin);
    const auto complain = [&](const std::string& problem) {
        throw UsageError("item " + std::to_string(count_ + 1) + " (\"" + printable(item, 40) +
                         "\") " + problem);
    };
    if (item.size() > limits::item_bytes)
        complain("is longer than " + format_size(limits::item_bytes) +
                 ": put the data into files, and their names into the list");
    if (item.find('\0') != std::string_view::npos) complain("holds a NUL byte");
    if (!is_utf8(item)) complain("is not UTF-8");
    if (count_ == limits::tasks_per_job)
        throw UsageError("there are more than " + std::to_string(limits::tasks_per_job) +
                         " items: split them into several jobs");
    bytes_ += '\0';
    ++count_;
}

}  // namespace rpic
