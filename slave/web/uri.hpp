#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

/// The parts of a request's target (RFC 3986). Pure.
namespace rpic {

/// "%41" becomes "A". Nothing for a "%" without two hex digits, for a NUL, and for what is not
/// UTF-8.
std::optional<std::string> percent_decoded(std::string_view text);

/// Everything that is not a letter, a digit or one of "-._~" as "%41"; with `keep_slashes` not
/// those.
std::string percent_encoded(std::string_view text, bool keep_slashes);

using Query = std::map<std::string, std::string, std::less<>>;

/// "a=1&b=%20x"; of two with one name the last counts, and "+" is a space. Nothing for a broken
/// one.
std::optional<Query> parse_query(std::string_view text);

}  // namespace rpic
