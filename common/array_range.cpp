#include "common/array_range.hpp"

#include <charconv>

#include "common/limits.hpp"
#include "common/text.hpp"

namespace rpic {

namespace {

constexpr std::size_t range_chars = 40;  // of the text, in messages

/// Takes "FIRST-LAST[:STEP][%LIMIT]" apart from left to right.
class RangeParser {
  public:
    explicit RangeParser(std::string_view text) : text_(trim(text)), rest_(text_) {}

    ArrayRange parse() {
        ArrayRange range;
        range.first = number("a number");
        range.last = take('-') ? number("the last index behind the -") : range.first;
        if (take(':')) range.step = number("the step behind the :");
        if (take('%')) range.limit = number("behind the % how many tasks run at once");
        if (!rest_.empty()) fail("does not end where it should: " + quoted(rest_) + " is left");
        if (range.last < range.first) fail("ends before it begins");
        if (range.step < 1) fail("has the step 0: at least 1 is needed");
        const bool limited = text_.find('%') != std::string_view::npos;
        if (limited && range.limit < 1) fail("lets no task run at once: %1 is the least");
        if (range.size() > limits::tasks_per_job)
            fail("has " + std::to_string(range.size()) + " tasks, and " +
                 std::to_string(limits::tasks_per_job) + " is the most: split the job");
        range.last = range.index(range.size() - 1);
        return range;
    }

  private:
    static std::string quoted(std::string_view text) {
        return '"' + printable(text, range_chars) + '"';
    }

    [[noreturn]] void fail(const std::string& reason) const {
        throw SyntaxError("the array " + quoted(text_) + ' ' + reason +
                          " (FIRST-LAST[:STEP][%LIMIT], such as 1-100 or 0-90:10%4)");
    }

    bool take(char c) {
        if (rest_.empty() || rest_[0] != c) return false;
        rest_.remove_prefix(1);
        return true;
    }

    std::int64_t number(const char* what) {
        std::int64_t value = 0;
        const bool digit = !rest_.empty() && rest_[0] >= '0' && rest_[0] <= '9';
        if (!digit) fail(std::string("lacks ") + what);
        const auto [end, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), value);
        if (error != std::errc{} || value > limits::array_index)
            fail("has a number above " + std::to_string(limits::array_index));
        rest_.remove_prefix(static_cast<std::size_t>(end - rest_.data()));
        return value;
    }

    std::string_view text_;
    std::string_view rest_;
};

}  // namespace

ArrayRange ArrayRange::parse(std::string_view text) {
    return RangeParser(text).parse();
}

std::optional<std::int64_t> ArrayRange::position(std::int64_t index) const {
    if (index < first || index > last || (index - first) % step != 0) return std::nullopt;
    return (index - first) / step;
}

std::string ArrayRange::text() const {
    std::string result = std::to_string(first);
    if (last != first) result += '-' + std::to_string(last);
    if (step != 1 && last != first) result += ':' + std::to_string(step);
    if (limit != 0) result += '%' + std::to_string(limit);
    return result;
}

}  // namespace rpic
