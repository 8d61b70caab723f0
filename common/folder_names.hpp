#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "common/descriptor.hpp"

namespace rpic {

/// The names in an open folder, without "." and "..", at most `most` of them. Throws FileError
/// naming `path`.
std::vector<std::string> names_in(const Descriptor& folder, std::size_t most,
                                  std::string_view path);

}  // namespace rpic
