#include "common/glob.hpp"

#include <algorithm>

#include "common/limits.hpp"

namespace rpic {

namespace {

constexpr std::string_view any_folders = "**";

/// The class at the start of a pattern, "[a-z]": whether `c` is in it, and its length; 0 if the
/// bracket is never closed and stands for itself.
struct ClassMatch {
    bool inside = false;
    std::size_t length = 0;
};

ClassMatch match_class(std::string_view pattern, char c) {
    std::size_t at = 1;
    const bool inverted = at < pattern.size() && (pattern[at] == '!' || pattern[at] == '^');
    if (inverted) ++at;
    bool inside = false;
    const auto code = static_cast<unsigned char>(c);
    for (bool first = true; at < pattern.size(); first = false) {
        if (pattern[at] == ']' && !first) return {inside != inverted, at + 1};
        if (pattern[at] == '\\' && at + 1 < pattern.size()) ++at;
        const auto low = static_cast<unsigned char>(pattern[at++]);
        auto high = low;
        if (at + 1 < pattern.size() && pattern[at] == '-' && pattern[at + 1] != ']') {
            high = static_cast<unsigned char>(pattern[at + 1]);
            at += 2;
        }
        inside = inside || (low <= code && code <= high);
    }
    return {};
}

/// How many characters of the pattern one character fits; 0 if it does not.
std::size_t match_one(std::string_view pattern, char c) {
    if (pattern.empty()) return 0;
    if (pattern[0] == '?') return 1;
    if (pattern[0] == '[') {
        const auto result = match_class(pattern, c);
        if (result.length > 0) return result.inside ? result.length : 0;
    }
    if (pattern[0] == '\\' && pattern.size() > 1) return pattern[1] == c ? 2 : 0;
    return pattern[0] == c ? 1 : 0;
}

bool shows_hidden(std::string_view pattern) {
    return pattern.starts_with('.') || pattern.starts_with("\\.");
}

std::vector<std::string> parts_of(std::string_view text) {
    std::vector<std::string> parts;
    while (!text.empty()) {
        const auto end = std::min(text.find('/'), text.size());
        const auto part = text.substr(0, end);
        if (!part.empty() && part != ".") parts.emplace_back(part);
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return parts;
}

}  // namespace

bool name_matches(std::string_view pattern, std::string_view name) {
    if (name.starts_with('.') && !shows_hidden(pattern)) return false;
    // Only the last star is ever tried again, which is enough, so the time is their product.
    std::size_t at = 0, in = 0;
    std::size_t star = std::string_view::npos, star_in = 0;
    while (in < name.size()) {
        if (at < pattern.size() && pattern[at] == '*') {
            star = at++;
            star_in = in;
            continue;
        }
        if (const auto length = match_one(pattern.substr(at), name[in]); length > 0) {
            at += length;
            ++in;
            continue;
        }
        if (star == std::string_view::npos) return false;
        at = star + 1;
        in = ++star_in;
    }
    while (at < pattern.size() && pattern[at] == '*') ++at;
    return at == pattern.size();
}

std::string glob_problem(std::string_view pattern) {
    if (pattern.empty()) return "is empty";
    if (pattern.size() > limits::glob_chars)
        return "is longer than " + std::to_string(limits::glob_chars) + " characters";
    if (pattern.front() == '/')
        return "is absolute: patterns are relative to the folder in which the task starts";
    if (pattern.find('\0') != std::string_view::npos) return "has a NUL in it";
    const auto parts = parts_of(pattern);
    if (parts.empty()) return "names the folder itself: \"**\" is all that is in it";
    const bool upwards = std::find(parts.begin(), parts.end(), "..") != parts.end();
    return upwards ? "leads out of the folder in which the task starts" : "";
}

Globs::Globs(const std::vector<std::string>& patterns) {
    for (const auto& pattern : patterns) patterns_.push_back(parts_of(pattern));
}

Globs::Walk Globs::begin() const {
    Walk walk;
    for (std::size_t i = 0; i < patterns_.size(); ++i) {
        walk.positions.push_back({0});
        close(i, walk.positions[i]);
    }
    return judged(std::move(walk));
}

Globs::Walk Globs::down(const Walk& walk, std::string_view name) const {
    Walk next;
    for (std::size_t i = 0; i < patterns_.size(); ++i) {
        const auto& parts = patterns_[i];
        auto& positions = next.positions.emplace_back();
        for (const auto position : walk.positions[i]) {
            if (position == parts.size()) continue;
            if (parts[position] == any_folders) {
                if (!name.starts_with('.')) positions.push_back(position);
            } else if (name_matches(parts[position], name)) {
                positions.push_back(position + 1);
            }
        }
        close(i, positions);
    }
    return judged(std::move(next));
}

/// "**" also stands for nothing: whoever is before it is behind it too.
void Globs::close(std::size_t pattern, std::vector<std::size_t>& positions) const {
    const auto& parts = patterns_[pattern];
    for (std::size_t i = 0; i < positions.size(); ++i)
        if (positions[i] < parts.size() && parts[positions[i]] == any_folders)
            positions.push_back(positions[i] + 1);
    std::sort(positions.begin(), positions.end());
    positions.erase(std::unique(positions.begin(), positions.end()), positions.end());
}

Globs::Walk Globs::judged(Walk walk) const {
    for (std::size_t i = 0; i < patterns_.size(); ++i) {
        for (const auto position : walk.positions[i]) {
            const bool end = position == patterns_[i].size();
            walk.matched = walk.matched || end;
            walk.further = walk.further || !end;
        }
    }
    return walk;
}

bool Globs::matches(std::string_view path) const {
    auto walk = begin();
    for (const auto& part : parts_of(path)) walk = down(walk, part);
    return walk.matched;
}

}  // namespace rpic
