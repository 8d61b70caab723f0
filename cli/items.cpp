#include "cli/items.hpp"

#include "common/errors.hpp"
#include "common/limits.hpp"
#include "common/text.hpp"
#include "common/utf8.hpp"

namespace rpic {

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
