#include "common/frame.hpp"

#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "common/errors.hpp"

using namespace rpic;
using namespace std::string_literals;

namespace {

using Parts = std::vector<std::pair<std::string, std::string>>;

/// What a connection does: frames are taken from the front of a buffer that grows.
class Reader {
  public:
    Reader(std::size_t max_json, std::size_t max_raw) : splitter_(max_json, max_raw) {}

    void feed(std::string_view bytes) {
        buffer_ += bytes;
        Frame frame;
        for (;;) {
            const auto size = splitter_.next(buffer_, frame);
            if (size == 0) return;
            parts.emplace_back(std::string(frame.json), std::string(frame.raw));
            buffer_.erase(0, size);
        }
    }

    const std::string& rest() const { return buffer_; }
    Parts parts;

  private:
    FrameSplitter splitter_;
    std::string buffer_;
};

/// The complaint about `bytes`, however they are cut; empty if there is none.
std::string complaint(std::string_view bytes, std::size_t max_json, std::size_t max_raw) {
    try {
        Reader(max_json, max_raw).feed(bytes);
    } catch (const BadMessageError& error) {
        return error.what();
    }
    return "";
}

const std::string stream =
    "{\"type\":\"a\"}\r"
    "{\"raw\":7,\"type\":\"b\"}\r\r{\0\r}\r\xFF"s
    "\r"
    "{\"raw\":3}\r\r\r\r"
    "{\"raw\":0,\"x\":1}\r"
    " {\"raw\":9}\r"
    "{\"type\":\"\u20AC\"}\r";

const Parts expected = {
    {"{\"type\":\"a\"}", ""},
    {"{\"raw\":7,\"type\":\"b\"}", "\r{\0\r}\r\xFF"s},
    {"", ""},
    {"{\"raw\":3}", "\r\r\r"},
    {"{\"raw\":0,\"x\":1}", ""},
    {" {\"raw\":9}", ""},
    {"{\"type\":\"\u20AC\"}", ""},
};

}  // namespace

TEST_CASE("frames are found however the stream is cut into two") {
    for (std::size_t cut = 0; cut <= stream.size(); ++cut) {
        Reader reader(100, 100);
        reader.feed(std::string_view(stream).substr(0, cut));
        reader.feed(std::string_view(stream).substr(cut));
        INFO("cut at " << cut);
        REQUIRE(reader.parts == expected);
        REQUIRE(reader.rest().empty());
    }
}

TEST_CASE("frames are found in pieces of every size") {
    for (std::size_t piece = 1; piece <= 9; ++piece) {
        Reader reader(100, 100);
        for (std::size_t at = 0; at < stream.size(); at += piece)
            reader.feed(std::string_view(stream).substr(at, piece));
        INFO("pieces of " << piece);
        REQUIRE(reader.parts == expected);
    }
}

TEST_CASE("a frame is not handed out before its last raw byte is there") {
    Reader reader(100, 100);
    reader.feed("{\"raw\":2}\ra");
    CHECK(reader.parts.empty());
    CHECK(reader.rest() == "{\"raw\":2}\ra");
    reader.feed("b{");
    CHECK(reader.parts == Parts{{"{\"raw\":2}", "ab"}});
    CHECK(reader.rest() == "{");
}

TEST_CASE("JSON at the limit passes, one byte more is refused") {
    const std::string most(20, 'x');
    CHECK(complaint(most + "\r", 20, 0).empty());
    CHECK(complaint(most, 20, 0).empty());  // its "\r" may still come
    CHECK(complaint(most + "x\r", 20, 0) == "a frame longer than 20 bytes");
    CHECK(complaint(most + "x", 20, 0) == "a frame longer than 20 bytes");
    // The limit is one frame's, not the buffer's.
    CHECK(complaint(most + "\r" + most + "\r" + most, 20, 0).empty());
}

TEST_CASE("a raw tail at the limit passes, one byte more is refused at once") {
    CHECK(complaint("{\"raw\":5}\r12345", 20, 5).empty());
    CHECK(complaint("{\"raw\":6}\r", 20, 5) == "a raw tail longer than 5 bytes");
    CHECK(complaint("{\"raw\":18446744073709551615}\r", 90, 5) == "a raw tail longer than 5 bytes");
    // Raw bytes do not count as JSON.
    CHECK(complaint("{\"raw\":500}\r" + std::string(500, 'x'), 12, 500).empty());
}

TEST_CASE("a broken raw length is refused") {
    for (const auto* length :
         {"", "-1", "+1", " 1", "x", "\"1\"", "1.0", "1e3", "1 ", "1]", "0x10", "null", "[1]",
          "18446744073709551616", "99999999999999999999999999", "1"}) {
        INFO(length);
        const auto frame = "{\"raw\":"s + length + "\r";
        CHECK(complaint(frame, 100, 100) == "a broken raw length");
        if (length != "1"s)
            CHECK(complaint("{\"raw\":"s + length + ",\"type\":\"a\"}\r", 100, 100) ==
                  "a broken raw length");
    }
}

TEST_CASE("where no raw bytes are allowed the member means nothing") {
    Reader reader(100, 0);
    reader.feed("{\"raw\":3,\"type\":\"a\"}\r{\"raw\":x}\r");
    CHECK(reader.parts == Parts{{"{\"raw\":3,\"type\":\"a\"}", ""}, {"{\"raw\":x}", ""}});
}

TEST_CASE("a raw member that is not the first, or with white space, means nothing") {
    Reader reader(100, 100);
    reader.feed("{\"type\":\"a\",\"raw\":3}\r{ \"raw\":3}\r{\"raw\" :3}\r{\"rawer\":3}\r");
    REQUIRE(reader.parts.size() == 4);
    for (const auto& [json, raw] : reader.parts) CHECK(raw.empty());
}

TEST_CASE("limits can be raised between frames and inside one") {
    FrameSplitter splitter(4, 0);
    Frame frame;
    CHECK(splitter.next("{}\r", frame) == 3);
    CHECK(splitter.next("1234", frame) == 0);
    splitter.set_limits(10, 10);
    CHECK(splitter.next("12345678\r", frame) == 9);
    CHECK(frame.json == "12345678");
}

// Time would show it on a quiet machine only; so a "\r" is put where no byte may be looked at
// again.
TEST_CASE("no byte is searched twice, so that feeding byte by byte is linear") {
    FrameSplitter splitter(1000, 1000);
    Frame frame;
    std::string buffer;
    for (int i = 0; i < 500; ++i) {
        buffer += 'x';
        REQUIRE(splitter.next(buffer, frame) == 0);
        buffer.back() = '\r';
    }
    buffer += '\r';
    CHECK(splitter.next(buffer, frame) == 501);
    CHECK(frame.json.size() == 500);
    // The next frame is searched from its start.
    CHECK(splitter.next("\r\r", frame) == 1);
}

TEST_CASE("a header is not searched again while its raw bytes arrive") {
    FrameSplitter splitter(1000, 1000);
    Frame frame;
    std::string buffer = "{\"raw\":500,\"a\":1}\r";
    const auto header = buffer.size();
    REQUIRE(splitter.next(buffer, frame) == 0);
    buffer[header - 3] = '\r';
    for (int i = 1; i < 500; ++i) {
        buffer += '\r';
        REQUIRE(splitter.next(buffer, frame) == 0);
    }
    buffer += 'z';
    CHECK(splitter.next(buffer, frame) == header + 500);
    CHECK(frame.json.size() == header - 1);
    CHECK(frame.raw == std::string(499, '\r') + "z");
}
