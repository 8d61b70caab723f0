#include "common/shell_quote.hpp"

namespace rpic {

namespace {

/// Characters that no shell gives a meaning to, wherever in a word they stand.
bool harmless(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("_-./:,@%+").find(c) != std::string_view::npos;
}

}  // namespace

std::string shell_quote(std::string_view word) {
    bool plain = !word.empty();
    for (const char c : word) plain = plain && harmless(c);
    if (plain) return std::string(word);
    std::string quoted = "'";
    for (const char c : word) {
        if (c == '\'')
            quoted += "'\\''";  // ends the quotes, adds one, goes on
        else
            quoted += c;
    }
    return quoted + "'";
}

std::string shell_line(const std::vector<std::string>& words) {
    std::string line;
    for (const auto& word : words) {
        if (!line.empty()) line += ' ';
        line += shell_quote(word);
    }
    return line;
}

}  // namespace rpic
