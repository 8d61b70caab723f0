#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "master/core/job_records.hpp"
#include "master/store/records.hpp"

/// Results and begun tasks as the store writes them: one short line of text for each, since there
/// may be millions. Lines of results lean on the line before them (the node's name, the time), so
/// they are read in order from the first of a row on. Times and CPU times are kept in microseconds,
/// memory in KiB, rounded up.
namespace rpic {

/// No attempt has a higher number, whatever a damaged store says: more can be counted up from it.
inline constexpr std::int64_t highest_attempt = std::int64_t{1} << 60;

/// Where the output of a result lies.
struct OutputPlace {
    enum class In { nothing, row, segment };
    In in = In::nothing;
    std::int64_t segment = 0;
    std::int64_t offset = 0;
    std::int64_t size = 0;

    bool operator==(const OutputPlace&) const = default;
};

/// The little of a result that a start of the master needs.
struct ResultEnd {
    Position position = 0;
    TaskState state{};
    std::int64_t attempt = 0;
    std::int64_t round = 0;
};

class ResultLineWriter {
  public:
    void append(std::string& lines, const TaskResult& result, const OutputPlace& place);

  private:
    std::string node_;
    std::int64_t started_at_ms_ = 0;
};

/// Throws std::runtime_error if the lines are damaged. `lines` must outlive the reader.
class ResultLineReader {
  public:
    ResultLineReader(JobId job, std::string_view lines) : job_(job), rest_(lines) {}

    /// The next result; false if there is none.
    bool next(TaskResult& result, OutputPlace& place);
    /// The same for the little of it. A reader does one or the other.
    bool next_end(ResultEnd& end);

  private:
    JobId job_;
    std::string_view rest_;
    std::string node_;
    std::int64_t started_at_ms_ = 0;
};

std::string task_line(const TaskRecord& record);
/// Throws std::runtime_error if the line is damaged.
TaskRecord task_of_line(JobId job, Position position, std::string_view line);

}  // namespace rpic
