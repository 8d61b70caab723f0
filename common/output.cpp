#include "common/output.hpp"

#include <algorithm>

#include "common/errors.hpp"
#include "common/limits.hpp"

namespace rpic {

void append_output(std::string& records, OutputStream stream, std::string_view bytes) {
    const auto size = static_cast<std::uint32_t>(bytes.size());
    records.push_back(static_cast<char>(stream));
    for (int shift = 0; shift < 32; shift += 8)
        records.push_back(static_cast<char>((size >> shift) & 0xff));
    records.append(bytes);
}

void OutputReader::feed(std::string_view piece, const Sink& sink) {
    while (!piece.empty()) {
        if (left_ > 0) {
            const auto count = std::min(left_, piece.size());
            sink(stream_, piece.substr(0, count));
            piece.remove_prefix(count);
            left_ -= count;
            continue;
        }
        const auto count = std::min(output_header_bytes - header_.size(), piece.size());
        header_.append(piece.substr(0, count));
        piece.remove_prefix(count);
        if (header_.size() < output_header_bytes) return;
        const auto byte = [&](std::size_t place) {
            return static_cast<std::size_t>(static_cast<unsigned char>(header_[place]));
        };
        left_ = byte(1) | byte(2) << 8 | byte(3) << 16 | byte(4) << 24;
        if (byte(0) < 1 || byte(0) > 3 || left_ > limits::output_bytes)
            throw BadMessageError("a broken output record");
        stream_ = static_cast<OutputStream>(byte(0));
        header_.clear();
    }
}

}  // namespace rpic
