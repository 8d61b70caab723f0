#pragma once

#include <string>
#include <string_view>

/// UTF-8 as RFC 3629 has it: no overlong forms, no surrogates, at most U+10FFFF.
namespace rpic {

/// Length in bytes of the character at the start of `text`, which is not empty; 0 if there is none.
std::size_t utf8_length(std::string_view text);

/// How many bytes at the end are the begin of a character whose rest is still to come.
std::size_t incomplete_tail(std::string_view bytes);

/// Whether bytes are UTF-8, which is all that JSON can carry.
bool is_utf8(std::string_view bytes);

/// The same bytes with U+FFFD in place of each that is no part of UTF-8.
std::string as_utf8(std::string_view bytes);

}  // namespace rpic
