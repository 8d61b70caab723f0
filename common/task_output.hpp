#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "common/job_messages.hpp"
#include "common/output.hpp"

namespace rpic {

/// A place in the output of an attempt, where reading can go on.
struct ReadingPlace {
    std::int64_t attempt = 0;
    std::int64_t offset = 0;
    std::size_t left = 0;  // of the record that the offset is within; 0: a record begins there
    OutputStream stream = OutputStream::out;  // of that record
};

/// Reads the output of one task to its end, piece by piece, across lost connections and across
/// attempts: nothing is lost, and nothing comes twice. Pure: it says what to ask, and takes the
/// answers.
class TaskOutput {
  public:
    TaskOutput(std::int64_t job, std::int64_t task) : job_(job), task_(task) {}

    /// Begins in the middle: all before that place is known.
    void resume(const ReadingPlace& place) {
        attempt_ = place.attempt;
        offset_ = place.offset;
        reader_ = OutputReader(place.stream, place.left);
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
    /// Behind all that was handed on.
    ReadingPlace place() const {
        ReadingPlace place;
        place.attempt = attempt_;
        place.offset = offset_ - static_cast<std::int64_t>(reader_.begun_header());
        place.left = reader_.left();
        place.stream = reader_.stream();
        return place;
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
