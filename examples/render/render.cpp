#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include "examples/render/png.hpp"
#include "examples/render/scene.hpp"

/// rpicluster-render: computes one tile of a picture, or joins the tiles. It needs nothing on the
/// machine that runs it, and the same tile has the same bytes on every machine.

namespace {

using render::Rectangle;
using render::Size;

constexpr int most_tiles = 10'000, most_pixels = 16'384, most_samples = 10'000;

const char* const usage =
    "usage: rpicluster-render TILE TILES WIDTH HEIGHT SAMPLES FILE.ppm\n"
    "           computes tile 0 to TILES - 1 of the picture\n"
    "       rpicluster-render --join TILES WIDTH HEIGHT FOLDER FILE.png\n"
    "           joins FOLDER/tile-0.ppm and so on; exit code 1 if some are missing or bad\n";

std::optional<int> number(const std::string& text, int least, int most) {
    int value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    if (value < least || value > most) return std::nullopt;
    return value;
}

int fail_file(const std::string& path) {
    std::fprintf(stderr, "rpicluster-render: %s: %s\n", path.c_str(), std::strerror(errno));
    return 1;
}

bool write_file(const std::string& path, const std::string& bytes) {
    FILE* file = std::fopen(path.c_str(), "wb");
    if (!file) return false;
    const bool written = std::fwrite(bytes.data(), 1, bytes.size(), file) == bytes.size();
    return std::fclose(file) == 0 && written;
}

std::string ppm_header(Rectangle tile) {
    return "P6\n" + std::to_string(tile.width) + ' ' + std::to_string(tile.height) + "\n255\n";
}

/// The pixels of a tile's file; nothing if it is not there, or is not that tile.
std::optional<std::string> read_tile(const std::string& path, Rectangle tile) {
    const auto header = ppm_header(tile);
    const auto size = header.size() + static_cast<std::size_t>(tile.width) *
                                          static_cast<std::size_t>(tile.height) * 3;
    FILE* file = std::fopen(path.c_str(), "rb");
    if (!file) return std::nullopt;
    std::string bytes(size + 1, '\0');  // one more shows a file that is too long
    bytes.resize(std::fread(bytes.data(), 1, bytes.size(), file));
    std::fclose(file);
    if (bytes.size() != size || bytes.compare(0, header.size(), header) != 0) return std::nullopt;
    return bytes.substr(header.size());
}

int compute(int tile, int tiles, Size picture, int samples, const std::string& path) {
    const auto part = tile_rectangle(tile, tiles, picture);
    const auto pixels = render::render(part, picture, samples);
    if (!write_file(path, ppm_header(part) + std::string(pixels.begin(), pixels.end())))
        return fail_file(path);
    return 0;
}

int join(int tiles, Size picture, const std::string& folder, const std::string& path) {
    const auto stride = static_cast<std::size_t>(picture.width) * 3;
    std::vector<std::uint8_t> pixels(stride * static_cast<std::size_t>(picture.height), 0x60);
    std::string missing;
    for (int i = 0; i < tiles; ++i) {
        const auto part = tile_rectangle(i, tiles, picture);
        const auto tile = read_tile(folder + "/tile-" + std::to_string(i) + ".ppm", part);
        if (!tile) {
            missing += ' ' + std::to_string(i);
            continue;
        }
        const auto row_bytes = static_cast<std::size_t>(part.width) * 3;
        for (int y = 0; y < part.height; ++y)
            std::memcpy(&pixels[static_cast<std::size_t>(part.top + y) * stride +
                                static_cast<std::size_t>(part.left) * 3],
                        tile->data() + static_cast<std::size_t>(y) * row_bytes, row_bytes);
    }
    if (!write_file(path, render::make_png(picture.width, picture.height, pixels)))
        return fail_file(path);
    if (missing.empty()) return 0;
    std::printf("missing or bad:%s\n", missing.c_str());
    return 1;
}

}  // namespace

int main(int argc, char** argv) {
    const std::vector<std::string> words(argv + 1, argv + argc);
    if (words.size() != 6) return std::fputs(usage, stderr), 2;
    const bool joining = words[0] == "--join";
    const auto tiles = number(words[1], 1, most_tiles);
    const auto tile = joining ? 0 : number(words[0], 0, tiles ? *tiles - 1 : -1);
    const auto width = number(words[2], 1, most_pixels);
    const auto height = number(words[3], 1, most_pixels);
    const auto samples = joining ? 1 : number(words[4], 1, most_samples);
    if (!tiles || !tile || !width || !height || !samples) return std::fputs(usage, stderr), 2;
    if (joining) return join(*tiles, {*width, *height}, words[4], words[5]);
    return compute(*tile, *tiles, {*width, *height}, *samples, words[5]);
}
