#include "common/frame.hpp"

#include <charconv>
#include <cstdint>
#include <string>

#include "common/errors.hpp"

namespace rpic {

namespace {

constexpr std::string_view raw_prefix = "{\"raw\":";

/// The N of {"raw":N,...}; 0 if the frame does not start like that.
std::uint64_t raw_length(std::string_view json) {
    if (!json.starts_with(raw_prefix)) return 0;
    const auto digits = json.substr(raw_prefix.size());
    std::uint64_t length = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), length);
    const bool followed = end != digits.data() + digits.size() && (*end == ',' || *end == '}');
    if (error != std::errc{} || !followed) throw BadMessageError("a broken raw length");
    return length;
}

}  // namespace

std::size_t FrameSplitter::next(std::string_view buffer, Frame& frame) {
    const auto end = buffer.find('\r', scanned_);
    const std::size_t json_size = end == std::string_view::npos ? buffer.size() : end;
    if (json_size > max_json_)
        throw BadMessageError("a frame longer than " + std::to_string(max_json_) + " bytes");
    if (end == std::string_view::npos) {
        scanned_ = buffer.size();
        return 0;
    }
    scanned_ = end;  // for the case that raw bytes are still to come
    const auto json = buffer.substr(0, end);
    const std::uint64_t length = max_raw_ > 0 ? raw_length(json) : 0;
    if (length > max_raw_)
        throw BadMessageError("a raw tail longer than " + std::to_string(max_raw_) + " bytes");
    const auto raw = static_cast<std::size_t>(length);
    const std::size_t total = end + 1 + raw;
    if (buffer.size() < total) return 0;
    frame.json = json;
    frame.raw = buffer.substr(end + 1, raw);
    scanned_ = 0;
    return total;
}

}  // namespace rpic
