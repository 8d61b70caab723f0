#include "common/item_template.hpp"

#include <array>

#include "common/limits.hpp"
#include "common/shell_quote.hpp"
#include "common/text.hpp"

namespace rpic {

namespace {

constexpr std::array<std::string_view, 6> marks = {"{}", "{.}", "{/}", "{//}", "{/.}", "{#}"};

/// The mark at the start of `text`, or nothing.
std::string_view mark_at(std::string_view text) {
    for (const auto mark : marks)
        if (text.substr(0, mark.size()) == mark) return mark;
    return {};
}

std::string_view base_name(std::string_view path) {
    const auto slash = path.rfind('/');
    return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

/// As dirname(1): slashes at the end do not count, no folder is ".".
std::string_view folder(std::string_view path) {
    const auto trim_slashes = [&] {
        while (path.size() > 1 && path.back() == '/') path.remove_suffix(1);
    };
    trim_slashes();
    if (path == "/") return path;
    const auto slash = path.rfind('/');
    if (slash == std::string_view::npos) return ".";
    path = path.substr(0, slash + 1);
    trim_slashes();
    return path;
}

std::string_view without_extension(std::string_view path) {
    const auto dot = path.rfind('.');
    const auto slash = path.rfind('/');
    const bool in_name =
        dot != std::string_view::npos && (slash == std::string_view::npos || dot > slash);
    return in_name ? path.substr(0, dot) : path;
}

/// What stands for a mark, not quoted yet.
std::string filled_in(std::string_view mark, std::string_view item, std::int64_t number) {
    if (mark == "{.}") return std::string(without_extension(item));
    if (mark == "{/}") return std::string(base_name(item));
    if (mark == "{//}") return std::string(folder(item));
    if (mark == "{/.}") return std::string(without_extension(base_name(item)));
    if (mark == "{#}") return std::to_string(number);
    return std::string(item);
}

}  // namespace

bool has_item_mark(const std::vector<std::string>& command) {
    for (const auto& word : command)
        for (auto at = word.find('{'); at != std::string::npos; at = word.find('{', at + 1))
            if (!mark_at(std::string_view(word).substr(at)).empty()) return true;
    return false;
}

std::vector<std::string> with_item_mark(std::vector<std::string> command, bool shell) {
    if (has_item_mark(command)) return command;
    if (shell && !command.empty())
        command.back() += " {}";
    else
        command.emplace_back("{}");
    return command;
}

std::vector<std::string> expand_item(const std::vector<std::string>& command, bool shell,
                                     std::string_view item, std::int64_t number) {
    // Each mark's value is made once: a command may hold thousands of them.
    std::array<std::string, marks.size()> values;
    for (std::size_t i = 0; i < marks.size(); ++i) {
        values[i] = filled_in(marks[i], item, number);
        if (shell) values[i] = shell_quote(values[i]);
    }
    std::size_t total = 0;
    const auto add = [&](std::string& word, std::string_view text) {
        total += text.size();
        if (total > limits::command_bytes)
            throw SyntaxError("the command is longer than " +
                              format_size(static_cast<std::int64_t>(limits::command_bytes)) +
                              " with its item put in");
        word += text;
    };
    std::vector<std::string> result;
    result.reserve(command.size());
    for (const std::string_view word : command) {
        std::string expanded;
        for (std::size_t at = 0; at < word.size();) {
            const auto mark = word[at] == '{' ? mark_at(word.substr(at)) : std::string_view();
            if (mark.empty()) {
                const auto next = std::min(word.find('{', at + 1), word.size());
                add(expanded, word.substr(at, next - at));
                at = next;
                continue;
            }
            for (std::size_t i = 0; i < marks.size(); ++i)
                if (marks[i] == mark) add(expanded, values[i]);
            at += mark.size();
        }
        result.push_back(std::move(expanded));
    }
    return result;
}

}  // namespace rpic
