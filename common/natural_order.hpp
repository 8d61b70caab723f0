#pragma once

#include <string_view>

namespace rpic {

/// The order in which people list things: runs of digits count by their value, so that pi9 comes
/// before pi10 and 6.9 before 6.10. Below 0, 0 or above 0, as a comes before, at or behind b; 0
/// only for equal texts.
int natural_compare(std::string_view a, std::string_view b);

}  // namespace rpic
