#pragma once

#include <deque>
#include <string>
#include <string_view>

#include "common/clock.hpp"
#include "common/job_messages.hpp"

namespace rpic {

/// How many of a job's tasks are in one of these states: queued running done failed cancelled.
std::int64_t tasks_in(const JobView& job, const char* state);
std::int64_t tasks_in_all(const JobView& job);
/// Those that have ended.
std::int64_t tasks_ended(const JobView& job);

/// What people read while they wait: "37/100 done, 2 failed, 4.1/s, 15s left, 3 nodes". Pure.
class JobProgress {
  public:
    /// The rate counts what ended in the last half minute.
    std::string text(const JobView& job, Instant now);

  private:
    struct Sample {
        Instant at;
        std::int64_t ended = 0;
    };
    std::deque<Sample> samples_;
};

/// "45M of 1.2G, 3 of 17 files".
std::string transfer_text(std::int64_t bytes, std::int64_t all_bytes, std::int64_t files,
                          std::int64_t all_files);

/// One line of stderr that is written over and over, on a terminal alone.
class ProgressLine {
  public:
    ProgressLine();
    ~ProgressLine() { clear(); }
    ProgressLine(const ProgressLine&) = delete;
    ProgressLine& operator=(const ProgressLine&) = delete;

    void show(const std::string& text);
    /// To be called before anything else is written.
    void clear();

  private:
    bool terminal_;
    bool shown_ = false;
};

/// At most so many characters of a text, cut at a character.
std::string_view cut_to_width(std::string_view text, std::size_t width);

}  // namespace rpic
