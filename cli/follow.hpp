#pragma once

#include <algorithm>
#include <deque>
#include <functional>
#include <string>
#include <vector>

#include "cli/client.hpp"
#include "common/task_output.hpp"

/// What verbs that last have in common: they go on when the master was away.
namespace rpic {

/// Does something until the connection holds for it, and gives what it returns.
template <class Step>
auto across_restarts(Client& client, const Step& step) {
    Duration pause{};
    for (;;) {
        const auto began_at = Clock::now();
        try {
            return step();
        } catch (const UnreachableError&) {
            // A connection that ends at once each time must not be tried as fast as that goes.
            const bool at_once = Clock::now() - began_at < limits::reconnect_early_max;
            if (at_once) client.pause(pause);
            pause = at_once ? std::min<Duration>(2 * pause + limits::reconnect_first,
                                                 limits::reconnect_early_max)
                            : Duration{};
            client.reconnect();
        }
    }
}

/// Tells about jobs, at once and with every change, until all of them have ended; and about nothing
/// at least once a second, so that a progress line can live. What it calls may use the client.
struct JobWatcher {
    std::function<void(const std::vector<JobView>&)> on_change;
    std::function<void()> on_tick = [] {};
    /// Asked after each change: whether the rest does not matter.
    std::function<bool()> enough = [] { return false; };
};
void watch_jobs(Client& client, const std::string& jobs, const JobWatcher& watcher);

/// The job and all its tasks that the request asks for, up to its limit.
struct JobAnswer {
    JobDetail detail;
    std::vector<TaskView> tasks;
    std::optional<std::int64_t> next;  // as in TaskList
};
JobAnswer get_job(Client& client, GetJob request);

/// Reads the output of a task that runs or will run, as it comes, until it has ended.
/// `on_wait` is called when nothing has come for a while and no attempt has started.
struct OutputFollower {
    OutputReader::Sink sink;
    std::function<void(std::int64_t attempt)> on_new_attempt;
    std::function<void()> on_wait = [] {};
};
void follow_output(Client& client, std::int64_t job, std::int64_t task,
                   const OutputFollower& follower);

/// Reads the outputs of tasks one after the other, all that there is now, without waiting for the
/// answer about one before the next is asked for.
class OutputCopier {
  public:
    using Sink = std::function<void(const TaskView&, OutputStream, std::string_view)>;
    OutputCopier(Client& client, std::int64_t job) : client_(client), job_(job) {}
    /// `begin` and `end` are called before and after each task, in this order.
    void copy(const std::vector<TaskView>& tasks, const Sink& sink,
              const std::function<void(const TaskView&)>& begin,
              const std::function<void(const TaskView&)>& end);

  private:
    void ask_ahead(const std::vector<TaskView>& tasks, std::size_t from);
    void copy_one(const TaskView& task, const Sink& sink);

    Client& client_;
    std::int64_t job_;
    std::deque<std::int64_t> asked_;  // ids of requests about the next tasks that have output
    std::size_t asked_up_to_ = 0;     // place in `tasks`
    int connection_ = 0;              // on which they were asked
};

/// The number of a job, from its id.
std::int64_t job_number(const std::string& id);

}  // namespace rpic
