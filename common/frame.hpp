#pragma once

#include <cstddef>
#include <string_view>

namespace rpic {

/// One frame as it lies in a buffer: a JSON text, and the raw bytes that followed it.
struct Frame {
    std::string_view json;
    std::string_view raw;
};

/// Cuts a stream of bytes into frames, without looking further into them:
///
///     {"type":T,"payload":P}\r                    as in the seed texts
///     {"raw":N,"type":T,"payload":P}\rBYTES       with N bytes behind the "\r" (our protocol only)
///
/// `"raw"` must be the first member and be written without white space, so that framing never needs
/// a JSON parser. A "\r" cannot occur inside a JSON text that any encoder writes: in strings it is
/// escaped.
class FrameSplitter {
  public:
    /// `max_json` and `max_raw` in bytes; with `max_raw` 0 a member "raw" means nothing.
    FrameSplitter(std::size_t max_json, std::size_t max_raw)
        : max_json_(max_json), max_raw_(max_raw) {}

    /// Looks for a frame at the start of `buffer`. Returns how many bytes it takes, 0 if more bytes
    /// are needed; then the next call must give the same bytes and more. Throws BadMessageError for
    /// a frame above the limits or a broken raw length.
    std::size_t next(std::string_view buffer, Frame& frame);

    void set_limits(std::size_t max_json, std::size_t max_raw) {
        max_json_ = max_json;
        max_raw_ = max_raw;
    }

  private:
    std::size_t max_json_;
    std::size_t max_raw_;
    std::size_t scanned_ = 0;  // no "\r" before this place: bytes are looked at once
};

}  // namespace rpic
