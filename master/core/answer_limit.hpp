#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>

#include "common/clock.hpp"

namespace rpic {

/// How much of discovery a master bears: questions that it reads, and answers that it sends, to one
/// address and in all, in each second. Pure.
class AnswerLimit {
  public:
    /// A question is about to be read; false if none may be any more before rest() is over.
    bool may_read(Instant now);
    /// One that deserves an answer came from this address; false if it gets none.
    bool may_answer(Instant now, std::string_view address);
    /// Until the next second begins.
    Duration rest(Instant now) const;

  private:
    void begin_second(Instant now);

    Instant second_began_{};
    std::int64_t read_ = 0;
    std::int64_t answered_ = 0;
    std::unordered_map<std::string, std::int64_t>
        answered_to_;  // at most limits::discovery_answers
};

}  // namespace rpic
