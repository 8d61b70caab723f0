#include "slave/web/log_text.hpp"

#include <charconv>
#include <vector>

#include "common/limits.hpp"
#include "common/text.hpp"
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

std::string event_id(const ReadingPlace& place) {
    if (place.offset == 0) return {};
    auto id = std::to_string(place.attempt) + '-' + std::to_string(place.offset);
    if (place.left > 0)
        id +=
            '-' + std::to_string(static_cast<int>(place.stream)) + '-' + std::to_string(place.left);
    return id;
}

std::optional<ReadingPlace> place_in(std::string_view id) {
    std::vector<std::int64_t> numbers;
    for (const auto& part : split(id, '-')) {
        std::int64_t number = 0;
        const auto end = part.data() + part.size();
        const auto [rest, error] = std::from_chars(part.data(), end, number);
        if (error != std::errc() || rest != end || number < 1) return std::nullopt;
        numbers.push_back(number);
    }
    if (numbers.size() != 2 && numbers.size() != 4) return std::nullopt;
    ReadingPlace place;
    place.attempt = numbers[0];
    place.offset = numbers[1];
    if (numbers.size() == 2) return place;
    const auto most = static_cast<std::int64_t>(limits::output_bytes);
    if (numbers[2] > 3 || numbers[3] > most) return std::nullopt;
    place.stream = static_cast<OutputStream>(numbers[2]);
    place.left = static_cast<std::size_t>(numbers[3]);
    return place;
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
