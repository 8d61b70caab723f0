#include "slave/web/log_text.hpp"

#include "common/utf8.hpp"

namespace rpic {

std::string LogText::feed(OutputStream stream, std::string_view bytes) {
    auto& kept = kept_[stream];
    std::string text = kept;
    text += bytes;
    const auto tail = incomplete_tail(text);
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
