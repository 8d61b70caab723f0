#include "common/keys.hpp"

#include <openssl/rand.h>
#include <openssl/sha.h>

#include <cstdint>
#include <stdexcept>
#include <vector>

namespace rpic {

namespace {

constexpr std::string_view alphabet = "23456789ABCDEFGHJKMNPQRSTUVWXYZ";
constexpr std::size_t groups = 5;
constexpr std::size_t group_size = 5;

std::vector<unsigned char> random_bytes(std::size_t count) {
    std::vector<unsigned char> bytes(count);
    if (RAND_bytes(bytes.data(), static_cast<int>(count)) != 1)
        throw std::runtime_error("the system's random source failed");
    return bytes;
}

std::array<unsigned char, 32> sha256(std::string_view prefix, std::string_view text) {
    std::string input(prefix);
    input += text;
    std::array<unsigned char, 32> digest{};
    SHA256(reinterpret_cast<const unsigned char*>(input.data()), input.size(), digest.data());
    return digest;
}

template <class Bytes>
std::string hex(const Bytes& bytes, std::size_t count) {
    constexpr std::string_view digits = "0123456789abcdef";
    std::string text;
    for (std::size_t i = 0; i < count; ++i) {
        text += digits[bytes[i] >> 4];
        text += digits[bytes[i] & 15];
    }
    return text;
}

std::string grouped(std::string_view letters) {
    std::string key;
    for (std::size_t i = 0; i < letters.size(); ++i) {
        if (i > 0 && i % group_size == 0) key += '-';
        key += letters[i];
    }
    return key;
}

}  // namespace

std::string make_key() {
    // 31 symbols: bytes above the largest multiple of 31 are drawn again, so that all are equally
    // likely. 25 symbols of log2(31) bits are 123 bits.
    constexpr std::size_t symbols = 31;
    std::string letters;
    while (letters.size() < groups * group_size)
        for (const unsigned char byte : random_bytes(32))
            if (byte < 256 / symbols * symbols && letters.size() < groups * group_size)
                letters += alphabet[byte % symbols];
    return grouped(letters);
}

std::string canonical_key(std::string_view text) {
    std::string letters;
    for (char c : text) {
        if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
        if (alphabet.find(c) != std::string_view::npos)
            letters += c;
        else if (c != '-' && c != ' ' && c != '\t' && c != '\r' && c != '\n')
            return {};
    }
    return letters.size() == groups * group_size ? grouped(letters) : std::string{};
}

std::string key_identity(std::string_view key) {
    return hex(sha256("rpicluster-id", key), 8);
}

Psk key_psk(std::string_view key) {
    return sha256("rpicluster-psk", key);
}

std::string random_hex(std::size_t bytes) {
    return hex(random_bytes(bytes), bytes);
}

double random_unit() {
    const auto bytes = random_bytes(4);
    const std::uint32_t number = std::uint32_t{bytes[0]} << 24 | std::uint32_t{bytes[1]} << 16 |
                                 std::uint32_t{bytes[2]} << 8 | std::uint32_t{bytes[3]};
    return static_cast<double>(number) / 4294967296.0;
}

}  // namespace rpic
