#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace rpic {

/// Patterns of --out, as in a shell: `*` and `?` stand for what is between two '/', `[a-z]` and
/// `[!a-z]` for one character, `**` for any number of folders (none too), `\` takes the next
/// character as it is. A name that begins with '.' needs a pattern that does so too. Matching takes
/// time that grows with pattern times path, never faster.
class Globs {
  public:
    explicit Globs(const std::vector<std::string>& patterns);

    /// How far the patterns have come on the way down: positions in each of them.
    struct Walk {
        std::vector<std::vector<std::size_t>> positions;
        /// One of them matches the path so far.
        bool matched = false;
        /// One of them may match something further down.
        bool further = false;
    };
    Walk begin() const;
    Walk down(const Walk& walk, std::string_view name) const;

    bool matches(std::string_view path) const;

  private:
    void close(std::size_t pattern, std::vector<std::size_t>& positions) const;
    Walk judged(Walk walk) const;

    std::vector<std::vector<std::string>> patterns_;
};

/// Whether one name fits one part of a pattern.
bool name_matches(std::string_view pattern, std::string_view name);

/// Why a text is no pattern for --out, in words; empty if it is one.
std::string glob_problem(std::string_view pattern);

}  // namespace rpic
