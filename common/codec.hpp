#pragma once

#include <boost/mp11/algorithm.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "common/frame.hpp"
#include "common/json.hpp"

/// Messages <-> frames. A message is a described struct with a `type_name` (messages.hpp).
namespace rpic {

/// The parts of {"type": T, "payload": P}; both point into `document`.
struct Envelope {
    json::value document;
    std::string_view type;
    const json::value* payload = nullptr;  // never null
};

/// Memory for parsing one frame without the heap; one frame is parsed at a time.
class ParseArena {
  public:
    json::storage_ptr storage() { return json::storage_ptr(&resource_); }

  private:
    unsigned char buffer_[8 * 1024];
    json::monotonic_resource resource_{buffer_, sizeof buffer_};
};

/// Parses the JSON of a frame. Throws BadMessageError for what is not JSON, nests deeper than
/// limits::json_depth or is not UTF-8. A missing type is an empty one, a missing payload is null.
Envelope open_envelope(std::string_view json_text, ParseArena& arena);

/// Appends the frame {"type":type,"payload":payload}\r, with `raw` behind it if there is any.
void append_frame(std::string& out, std::string_view type, const json::value& payload,
                  std::string_view raw = {});

template <class Message>
void encode_to(std::string& out, const Message& message, std::string_view raw = {}) {
    ParseArena arena;
    append_frame(out, Message::type_name, to_json(message, arena.storage()), raw);
}

template <class Message>
std::string encode(const Message& message, std::string_view raw = {}) {
    std::string out;
    encode_to(out, message, raw);
    return out;
}

/// The message in an envelope, if its type is one of the variant's; throws BadMessageError when its
/// payload has not the shape of that type.
template <class Variant>
std::optional<Variant> decode(const Envelope& envelope) {
    std::optional<Variant> result;
    boost::mp11::mp_for_each<boost::mp11::mp_transform<std::type_identity, Variant>>([&](auto tag) {
        using Message = typename decltype(tag)::type;
        if (result || envelope.type != Message::type_name) return;
        Message message;
        from_json(*envelope.payload, message, Message::type_name);
        result = std::move(message);
    });
    return result;
}

}  // namespace rpic
