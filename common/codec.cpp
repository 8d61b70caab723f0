#include "common/codec.hpp"

#include "common/limits.hpp"

namespace rpic {

namespace detail {

void wrong_type(std::string_view where, std::string_view expected) {
    throw BadMessageError("\"" + std::string(where) + "\" should be " + std::string(expected));
}

}  // namespace detail

namespace {

void append_json(std::string& out, const json::value& value) {
    json::serializer serializer;
    serializer.reset(&value);
    char buffer[4096];
    while (!serializer.done()) {
        const auto part = serializer.read(buffer);
        out.append(part.data(), part.size());
    }
}

}  // namespace

Envelope open_envelope(std::string_view json_text, ParseArena& arena) {
    json::parse_options options;
    options.max_depth = limits::json_depth;
    boost::system::error_code error;
    Envelope envelope{json::parse(json_text, error, arena.storage(), options), {}, nullptr};
    if (error == json::error::too_deep)
        throw BadMessageError("JSON nested deeper than " + std::to_string(limits::json_depth));
    if (error) throw BadMessageError("broken JSON (" + error.message() + ")");
    static const json::value null;
    envelope.payload = &null;
    if (const auto* object = envelope.document.if_object()) {
        if (const auto* type = object->if_contains("type"); type && type->is_string())
            envelope.type = type->get_string();
        if (const auto* payload = object->if_contains("payload")) envelope.payload = payload;
    }
    return envelope;
}

void append_frame(std::string& out, std::string_view type, const json::value& payload,
                  std::string_view raw) {
    out += '{';
    if (!raw.empty()) {
        out += "\"raw\":";
        out += std::to_string(raw.size());
        out += ',';
    }
    // Types are names of ours: nothing in them needs escaping.
    out += "\"type\":\"";
    out += type;
    out += "\",\"payload\":";
    append_json(out, payload);
    out += "}\r";
    out += raw;
}

}  // namespace rpic
