#include "slave/web/log_text.hpp"

#include "common/utf8.hpp"

namespace rpic {

namespace {

/// How many of the last bytes may be the beginning of a character.
std::size_t begun_character(std::string_view bytes) {
    for (std::size_t tail = 1; tail <= 3 && tail <= bytes.size(); ++tail) {
        const auto byte = static_cast<unsigned char>(bytes[bytes.size() - tail]);
        if ((byte & 0xC0) == 0x80) continue;
        const std::size_t length = byte >= 0xF0 ? 4 : byte >= 0xE0 ? 3 : byte >= 0xC0 ? 2 : 1;
        return length > tail ? tail : 0;
    }
    return 0;
}

}  // namespace

std::string LogText::feed(OutputStream stream, std::string_view bytes) {
    auto& kept = kept_[stream];
    std::string text = kept;
    text += bytes;
    const auto tail = begun_character(text);
    kept = text.substr(text.size() - tail);
    text.resize(text.size() - tail);
    return as_utf8(text);
}

std::string_view stream_name(OutputStream stream) {
    switch (stream) {
        case OutputStream::out:
            return "out";
        case OutputStream::err:
            return "err";
        case OutputStream::note:
            return "note";
    }
    return "note";
}

}  // namespace rpic
