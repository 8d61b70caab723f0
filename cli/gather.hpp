#pragma once

#include <map>
#include <string>
#include <vector>

#include "cli/client.hpp"
#include "cli/finished_tasks.hpp"
#include "cli/follow.hpp"
#include "cli/progress.hpp"
#include "cli/stay.hpp"

namespace rpic {

struct GatherOptions {
    std::string tasks;  // a selector of indices; empty: all
    bool outputs = true;
    bool keep_order = false;  // of the items; else in the order in which the tasks end
    std::string folder;       // where the files that come back go; empty: they stay on the master
    OutputCopier::Sink sink;  // where outputs go instead of the console
    /// Called when its output has been handed out and its files are at home.
    std::function<void(const TaskView&)> end_of_task = [](const TaskView&) {};
};

/// How a job with many tasks ended.
struct Gathered {
    JobView job;
    std::int64_t failed = 0;
    std::int64_t cancelled = 0;
    int worst_code = 0;                   // the highest exit code of a task
    std::vector<std::string> complaints;  // about the first tasks that failed
};

/// Stays with a job until it ends, or all of the chosen tasks have. Prints the output of each task
/// in one piece once that has ended, brings files home, and shows the progress on a terminal.
class Gatherer {
  public:
    Gatherer(Client& client, std::string job, const Console& console, GatherOptions options);

    Gathered run();

  private:
    void look();
    void hand_out(bool all);
    void finish_task(const TaskView& task);
    void write(const TaskView& task, OutputStream stream, std::string_view bytes);
    void show_progress();

    Client& client_;
    std::string id_;
    const Console& console_;
    GatherOptions options_;
    FinishedTasks finished_;
    OutputCopier copier_;
    std::map<std::int64_t, TaskView> waiting_;  // ended, but not printed: index -> task
    std::vector<TaskView> found_;               // likewise, in the order in which they were found
    JobProgress progress_;
    ProgressLine line_;
    Gathered result_;
};

/// What people read at the end of a job with failures; empty if there are none.
std::string failure_summary(const Gathered& result);

/// Puts a prefix before each line of a text that comes in pieces.
std::string with_prefix(std::string_view text, const std::string& prefix, bool& at_line_begin);

}  // namespace rpic
