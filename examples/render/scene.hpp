#pragma once

#include <cstdint>
#include <vector>

/// The picture: berries on a polished table, traced ray by ray.
///
/// Only additions, multiplications, divisions and square roots of doubles are used, which IEEE 754
/// defines to the last bit: every architecture computes the very same picture.
namespace render {

struct Size {
    int width = 0;
    int height = 0;
};

struct Rectangle {
    int left = 0;
    int top = 0;
    int width = 0;
    int height = 0;
};

/// Where one of `tiles` tiles lies. All of them together cover the picture once.
Rectangle tile_rectangle(int tile, int tiles, Size picture);

/// The pixels of a part of the picture, three bytes each (red, green, blue), row by row. `samples`
/// rays are sent through each pixel.
std::vector<std::uint8_t> render(Rectangle part, Size picture, int samples);

}  // namespace render
