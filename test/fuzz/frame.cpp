#include "common/frame.hpp"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "common/errors.hpp"
#include "test/fuzz/targets.hpp"

namespace rpic::fuzz {

namespace {

struct Limits {
    std::size_t json;
    std::size_t raw;
};

/// What a stream consists of.
struct Stream {
    std::vector<std::pair<std::string, std::string>> frames;
    bool broken = false;
    std::string rest;  // of a stream that is not broken

    bool operator==(const Stream&) const = default;
};

Stream read_in_pieces(std::string_view bytes, std::size_t piece, Limits limits) {
    FrameSplitter splitter(limits.json, limits.raw);
    Stream stream;
    try {
        for (std::size_t at = 0; at < bytes.size(); at += piece) {
            stream.rest += bytes.substr(at, piece);
            Frame frame;
            while (const auto used = splitter.next(stream.rest, frame)) {
                expect(used <= stream.rest.size(), "a frame beyond the end of the bytes");
                expect(used == frame.json.size() + 1 + frame.raw.size(), "bytes of no frame");
                expect(frame.json.size() <= limits.json, "JSON above the limit");
                expect(frame.raw.size() <= limits.raw, "a raw tail above the limit");
                stream.frames.emplace_back(frame.json, frame.raw);
                stream.rest.erase(0, used);
            }
        }
    } catch (const BadMessageError& error) {
        expect_one_line(error.what());
        stream.broken = true;
        stream.rest.clear();
    }
    return stream;
}

}  // namespace

/// A stream is the same frames however the network cuts it.
void fuzz_frame(std::string_view input) {
    const std::size_t piece = take_byte(input) % 32 + 1;
    const unsigned which = take_byte(input);
    const std::size_t json = which % 4 == 0 ? 16 : 4096;
    const std::size_t raw = which % 3 == 0 ? 0 : which % 3 == 1 ? 12 : 100'000;
    const auto whole = read_in_pieces(input, std::max<std::size_t>(input.size(), 1), {json, raw});
    const auto cut = read_in_pieces(input, piece, {json, raw});
    expect(whole == cut, "the same bytes are other frames when they come in pieces");
}

}  // namespace rpic::fuzz
