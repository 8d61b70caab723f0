#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace rpic {

/// One word for sh, whatever is in it: as it is if nothing in it is special, else 'in quotes'.
std::string shell_quote(std::string_view word);

/// A command as a person would type it.
std::string shell_line(const std::vector<std::string>& words);

}  // namespace rpic
