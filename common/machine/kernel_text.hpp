#pragma once

#include <charconv>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>

#include "common/text.hpp"

/// Small readers for the text files of proc(5) and sysfs(5). None of them throws: what does not
/// look as expected is empty.
namespace rpic {

/// Cuts the first line off `rest` and returns it without its line end.
std::string_view take_line(std::string_view& rest);

/// Cuts the first word off `rest`: what stands before the next space or tab.
std::string_view take_word(std::string_view& rest);

/// The trimmed value of the first line "key SEPARATOR value" that has a value; empty if there is
/// none.
std::string_view value_of(std::string_view text, std::string_view key, char separator);

/// The number that the whole trimmed text is; null if it is not one or does not fit.
template <class T>
std::optional<T> to_number(std::string_view text) {
    text = trim(text);
    T number{};
    const auto* end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, number);
    if (error != std::errc{} || stop != end) return std::nullopt;
    return number;
}

/// A text as people shall see it: printable() and of at most limits::text_chars bytes, runs of
/// blanks made one space, none at the ends.
std::string display_text(std::string_view raw);

/// A string of the device tree or of the firmware: ends at the first NUL, then as display_text().
std::string firmware_text(std::string_view raw);

}  // namespace rpic
