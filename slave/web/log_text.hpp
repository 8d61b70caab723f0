#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "common/output.hpp"
#include "common/task_output.hpp"

namespace rpic {

/// Output of a task on its way into JSON, which knows UTF-8 alone: bytes that are none become
/// U+FFFD. A character may come in two pieces; each stream's beginning of one is kept until the
/// rest comes. Pure.
class LogText {
  public:
    /// What can be told of it now.
    std::string feed(OutputStream stream, std::string_view bytes);
    /// The output has ended or begins anew: what was kept is no character any more.
    void reset() { kept_.clear(); }

  private:
    std::map<OutputStream, std::string> kept_;
};

/// A place in a log as the id of an event, ATTEMPT-OFFSET or within a record
/// ATTEMPT-OFFSET-STREAM-LEFT; empty at the start of the log.
std::string event_id(const ReadingPlace& place);

/// The same back; nothing for what is no such id.
std::optional<ReadingPlace> place_in(std::string_view id);

/// The name of a stream in events and in ?stream=.
std::string_view stream_name(OutputStream stream);

}  // namespace rpic
