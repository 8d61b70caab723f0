#pragma once

#include <string>
#include <string_view>

#include "cli/gather.hpp"

namespace rpic {

/// What programs read of `run`, `map` and `attach` with `-o jsonl`, a value a line, at once:
/// {"job":job} as soon as there is one, {"task":task,"stdout":text,"stderr":text} for each task
/// that has ended, when its files are at home, and {"job":job} at the end.
class TaskLines {
  public:
    void print(const JobView& job) const;
    /// Makes a gatherer print the lines of the tasks. The options may not outlive this object.
    void take_over(GatherOptions& options);

  private:
    void take(OutputStream stream, std::string_view bytes);
    void end_task(const TaskView& task);

    std::string out_;
    std::string err_;
    bool cut_ = false;  // there is more than is kept; {"cut":true} says so
};

}  // namespace rpic
