#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "common/syntax_error.hpp"

namespace rpic {

/// The indices of a job's tasks: FIRST-LAST[:STEP][%LIMIT], or a single number; LIMIT is how many
/// tasks run at once. A task has a position, 0 to size() - 1, and is shown by its index.
struct ArrayRange {
    std::int64_t first = 0;
    std::int64_t last = 0;  // the greatest index that occurs
    std::int64_t step = 1;
    std::int64_t limit = 0;  // 0: none

    /// Throws SyntaxError, also beyond limits::array_index and limits::tasks_per_job.
    static ArrayRange parse(std::string_view text);

    std::int64_t size() const { return (last - first) / step + 1; }
    std::int64_t index(std::int64_t position) const { return first + position * step; }
    /// Nothing for an index that does not occur.
    std::optional<std::int64_t> position(std::int64_t index) const;
    std::string text() const;  // in its shortest form

    bool operator==(const ArrayRange&) const = default;
};

}  // namespace rpic
