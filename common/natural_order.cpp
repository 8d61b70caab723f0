#include "common/natural_order.hpp"

#include <algorithm>

namespace rpic {

namespace {

bool in_number(char c) {
    return c >= '0' && c <= '9';
}

/// The digits at the start of `text`, which is advanced behind them, without leading zeros: of two
/// such runs the longer one is the greater number, whatever their length.
std::string_view take_digits(std::string_view& text) {
    const auto end = std::find_if_not(text.begin(), text.end(), in_number);
    auto digits = text.substr(0, static_cast<std::size_t>(end - text.begin()));
    text.remove_prefix(digits.size());
    digits.remove_prefix(std::min(digits.find_first_not_of('0'), digits.size()));
    return digits;
}

int sign(int value) {
    return value < 0 ? -1 : value > 0 ? 1 : 0;
}

}  // namespace

int natural_compare(std::string_view a, std::string_view b) {
    const int exact = sign(a.compare(b));
    while (!a.empty() && !b.empty()) {
        if (in_number(a[0]) && in_number(b[0])) {
            const auto left = take_digits(a);
            const auto right = take_digits(b);
            if (left.size() != right.size()) return left.size() < right.size() ? -1 : 1;
            if (const int order = left.compare(right); order != 0) return sign(order);
        } else if (a[0] != b[0]) {
            return static_cast<unsigned char>(a[0]) < static_cast<unsigned char>(b[0]) ? -1 : 1;
        } else {
            a.remove_prefix(1);
            b.remove_prefix(1);
        }
    }
    if (a.empty() != b.empty()) return a.empty() ? -1 : 1;
    return exact;  // they differ in leading zeros alone, if at all
}

}  // namespace rpic
