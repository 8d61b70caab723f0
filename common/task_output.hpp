#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "common/job_messages.hpp"
#include "common/output.hpp"

namespace rpic {

/// Reads the output of one task to its end, piece by piece, across lost connections and across
/// attempts: nothing is lost, and nothing comes twice. Pure: it says what to ask, and takes the
/// answers.
class TaskOutput {
  public:
    TaskOutput(std::int64_t job, std::int64_t task) : job_(job), task_(task) {}

    /// Begins in the middle: all before this offset of that attempt is known.
    void resume(std::int64_t attempt, std::int64_t offset) {
        attempt_ = attempt;
        offset_ = offset;
    }

    /// What to ask next.
    ReadOutput request(bool wait) const;

    /// Hands on what is new. An answer that tells nothing new is fine. Throws BadMessageError.
    void take(const Output& answer, std::string_view raw, const OutputReader::Sink& sink);

    /// All of it was taken: the task will not run again.
    bool ended() const { return ended_; }
    /// All that there is now was taken; there may be more later.
    bool complete() const { return complete_; }
    /// Of the attempt whose output is read; 0: none has started.
    std::int64_t attempt() const { return attempt_; }
    /// What was taken of that attempt's output, in bytes; nothing in the middle of a record, where
    /// it cannot be resumed.
    std::optional<std::int64_t> offset() const {
        if (!reader_.at_boundary()) return std::nullopt;
        return offset_;
    }
    /// Whether this answer is about a later run of the task than what was read so far.
    bool begins_anew(const Output& answer) const {
        return attempt_ != 0 && answer.attempt != attempt_;
    }

  private:
    std::int64_t job_;
    std::int64_t task_;
    std::int64_t attempt_ = 0;
    std::int64_t offset_ = 0;
    OutputReader reader_;
    bool complete_ = false;
    bool ended_ = false;
};

}  // namespace rpic
