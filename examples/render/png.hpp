#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace render {

/// A PNG file of 8-bit red, green and blue. Compressed by some lines of our own, so that the
/// program runs where no library is installed.
std::string make_png(int width, int height, const std::vector<std::uint8_t>& pixels);

}  // namespace render
