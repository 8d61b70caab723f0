#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

/// What a task prints, as it travels and as it is kept: records one after the other, so that stdout
/// and stderr stay apart and in order. A record is one byte for the stream, four bytes (little
/// endian) for the length, and that many bytes.
namespace rpic {

enum class OutputStream : unsigned char {
    out = 1,
    err = 2,
    note = 3,  // of the cluster itself: what was dropped, and why
};

inline constexpr std::size_t output_header_bytes = 5;

void append_output(std::string& records, OutputStream stream, std::string_view bytes);

/// Takes records apart that come in pieces of any size. Bytes are handed on as they come; a record
/// whose length is out of range or whose stream is unknown throws BadMessageError.
class OutputReader {
  public:
    using Sink = std::function<void(OutputStream, std::string_view)>;

    OutputReader() = default;
    /// Begins within a record of that stream, of which so many bytes are left.
    OutputReader(OutputStream stream, std::size_t left) : left_(left), stream_(stream) {}

    void feed(std::string_view piece, const Sink& sink);
    /// Whether the last piece ended with a whole record.
    bool at_boundary() const { return left_ == 0 && header_.empty(); }

    /// Of the record within which the last piece ended: what is still to be handed on.
    OutputStream stream() const { return stream_; }
    std::size_t left() const { return left_; }
    /// What came of a header that is not complete, in bytes.
    std::size_t begun_header() const { return header_.size(); }

  private:
    std::string header_;
    std::size_t left_ = 0;
    OutputStream stream_ = OutputStream::out;
};

}  // namespace rpic
