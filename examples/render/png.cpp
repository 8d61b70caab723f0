#include "examples/render/png.hpp"

#include <algorithm>
#include <array>
#include <cstring>

namespace render {

namespace {

/// Deflate (RFC 1951) in one block of fixed Huffman codes; repetitions are found through a table of
/// where three bytes were last seen.
class Deflate {
  public:
    std::string compress(const std::string& data) {
        bits(1, 1);  // the last block
        bits(1, 2);  // fixed codes
        std::vector<std::size_t> seen(hashes, none);
        std::size_t at = 0;
        while (at < data.size()) {
            std::size_t length = 0, distance = 0;
            if (at + shortest <= data.size()) {
                auto& last = seen[hash(data, at)];
                if (last != none && at - last <= window) {
                    length = same(data, last, at);
                    distance = at - last;
                }
                last = at;
            }
            if (length >= shortest) {
                repetition(length, distance);
                at += length;
            } else {
                literal(static_cast<unsigned char>(data[at++]));
            }
        }
        literal(256);
        while (used_ != 0) bits(0, 1);
        return std::move(out_);
    }

  private:
    static constexpr std::size_t hashes = 1 << 15, none = SIZE_MAX, window = 32768;
    static constexpr std::size_t shortest = 3, longest = 258;

    static std::size_t hash(const std::string& data, std::size_t at) {
        std::uint32_t value = 0;
        std::memcpy(&value, data.data() + at, shortest);
        return (value * 2654435761U) >> 17;
    }

    static std::size_t same(const std::string& data, std::size_t a, std::size_t b) {
        std::size_t length = 0;
        while (length < longest && b + length < data.size() && data[a + length] == data[b + length])
            ++length;
        return length;
    }

    void bits(unsigned value, int count) {  // lowest first
        for (int i = 0; i < count; ++i) {
            pending_ = static_cast<unsigned char>(pending_ | ((value >> i & 1) << used_));
            if (++used_ < 8) continue;
            out_ += static_cast<char>(pending_);
            pending_ = 0;
            used_ = 0;
        }
    }

    void code(unsigned value, int count) {  // highest first
        for (int i = count - 1; i >= 0; --i) bits(value >> i & 1, 1);
    }

    void literal(unsigned symbol) {
        if (symbol < 144)
            code(0x30 + symbol, 8);
        else if (symbol < 256)
            code(0x190 + symbol - 144, 9);
        else if (symbol < 280)
            code(symbol - 256, 7);
        else
            code(0xC0 + symbol - 280, 8);
    }

    void repetition(std::size_t length, std::size_t distance) {
        static constexpr std::array<unsigned short, 29> lengths = {
            3,  4,  5,  6,  7,  8,  9,  10, 11,  13,  15,  17,  19,  23, 27,
            31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258};
        static constexpr std::array<unsigned short, 30> distances = {
            1,   2,   3,   4,   5,   7,    9,    13,   17,   25,   33,   49,   65,    97,    129,
            193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577};
        const auto l = static_cast<unsigned>(
            std::upper_bound(lengths.begin(), lengths.end(), length) - lengths.begin() - 1);
        literal(257 + l);
        bits(static_cast<unsigned>(length) - lengths[l], l < 8 || l == 28 ? 0 : (int(l) - 4) / 4);
        const auto d = static_cast<unsigned>(
            std::upper_bound(distances.begin(), distances.end(), distance) - distances.begin() - 1);
        code(d, 5);
        bits(static_cast<unsigned>(distance) - distances[d], d < 4 ? 0 : (int(d) - 2) / 2);
    }

    std::string out_;
    unsigned char pending_ = 0;
    int used_ = 0;
};

std::string big_endian(std::uint32_t value) {
    std::string bytes;
    for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>(value >> shift & 0xFF);
    return bytes;
}

std::uint32_t crc32(const std::string& data) {
    std::uint32_t crc = 0xFFFFFFFF;
    for (const char c : data) {
        crc ^= static_cast<unsigned char>(c);
        for (int i = 0; i < 8; ++i) crc = crc & 1 ? crc >> 1 ^ 0xEDB88320 : crc >> 1;
    }
    return ~crc;
}

std::uint32_t adler32(const std::string& data) {
    std::uint32_t a = 1, b = 0;
    for (const char c : data) {
        a = (a + static_cast<unsigned char>(c)) % 65521;
        b = (b + a) % 65521;
    }
    return b << 16 | a;
}

std::string chunk(const std::string& type, const std::string& data) {
    return big_endian(static_cast<std::uint32_t>(data.size())) + type + data +
           big_endian(crc32(type + data));
}

}  // namespace

std::string make_png(int width, int height, const std::vector<std::uint8_t>& pixels) {
    std::string rows;
    const auto stride = static_cast<std::size_t>(width) * 3;
    for (std::size_t y = 0; y < static_cast<std::size_t>(height); ++y) {
        rows += '\1';  // each byte as its difference to the pixel on the left
        for (std::size_t i = 0; i < stride; ++i) {
            const auto left = i < 3 ? 0 : pixels[y * stride + i - 3];
            rows += static_cast<char>(pixels[y * stride + i] - left);
        }
    }
    const std::string header = big_endian(static_cast<std::uint32_t>(width)) +
                               big_endian(static_cast<std::uint32_t>(height)) +
                               std::string("\x08\x02\0\0\0", 5);
    const auto compressed = "\x78\x01" + Deflate().compress(rows) + big_endian(adler32(rows));
    return std::string("\x89PNG\r\n\x1A\n", 8) + chunk("IHDR", header) + chunk("IDAT", compressed) +
           chunk("IEND", "");
}

}  // namespace render
