#include "common/machine/kernel_text.hpp"

#include "common/limits.hpp"

namespace rpic {

std::string_view take_line(std::string_view& rest) {
    const auto end = rest.find('\n');
    const auto line = rest.substr(0, end);
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
    return line;
}

std::string_view take_word(std::string_view& rest) {
    const auto first = rest.find_first_not_of(" \t");
    if (first == std::string_view::npos) {
        rest = {};
        return {};
    }
    rest.remove_prefix(first);
    const auto word = rest.substr(0, rest.find_first_of(" \t"));
    rest.remove_prefix(word.size());
    return word;
}

std::string_view value_of(std::string_view text, std::string_view key, char separator) {
    while (!text.empty()) {
        const auto line = take_line(text);
        const auto middle = line.find(separator);
        if (middle == std::string_view::npos || trim(line.substr(0, middle)) != key) continue;
        const auto value = trim(line.substr(middle + 1));
        if (!value.empty()) return value;
    }
    return {};
}

std::string display_text(std::string_view raw) {
    constexpr std::string_view blanks = " \t\r\n\f\v";
    constexpr std::string_view cut_mark = "...";  // which printable() adds to what it cuts
    std::string text;
    bool gap = false;
    for (const char c : raw) {
        if (blanks.find(c) != std::string_view::npos) {
            gap = !text.empty();
            continue;
        }
        if (gap) text += ' ';
        gap = false;
        text += c;
        if (text.size() > limits::text_chars) break;
    }
    return printable(text, limits::text_chars - cut_mark.size());
}

std::string firmware_text(std::string_view raw) {
    return display_text(raw.substr(0, raw.find('\0')));
}

}  // namespace rpic
