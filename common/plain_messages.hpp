#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "common/codec.hpp"
#include "common/messages.hpp"

/// The protocol of the seed texts, which `--plain` opens: typed JSON whose payloads are strings or
/// objects as in the texts ("06 Sending Slave Details to the Master" to "15 A more complex
/// webserver"). Types:
///
///     message            text                                   slave -> master: heartbeat
///     computer_details   object; older: machine_details         slave -> master
///     info               computer_details | uuid | slave_details  slave -> master: a question
///     master_info, uuid, slave_details, bad_message             master -> slave: answers
namespace rpic::plain {

/// A machine as the texts describe it: hostname, cpu_percent_used, ram (bytes), cpu, cpu_cores.
struct Details {
    MachineFacts machine;
    std::optional<double> cpu_percent_used;
};

json::value details_to_json(const Details& details);

/// Takes what is there and makes sense; a peer that reports nonsense is no reason to end a
/// connection. Throws BadMessageError only if the payload is no object.
Details details_from_json(const json::value& payload);

/// A frame whose payload is a text.
std::string text_frame(std::string_view type, std::string_view text);

/// A frame whose payload is any JSON.
std::string json_frame(std::string_view type, const json::value& payload);

}  // namespace rpic::plain
