#pragma once

#include <algorithm>
#include <deque>

#include "common/connection.hpp"
#include "common/messages.hpp"

namespace rpic::bench {

/// The tasks of a simulated worker: each has ended as soon as it is ordered, without a process.
class NoOpTasks {
  public:
    /// The first words of a worker. It has nothing, whatever it had before.
    static void begin(Connection& link) { link.send(Resync{}); }

    /// One frame of the master.
    void take(std::string_view json, Connection& link) {
        ParseArena arena;
        const auto envelope = open_envelope(json, arena);
        if (envelope.type == StartTasks::type_name) {
            StartTasks order;
            from_json(*envelope.payload, order, StartTasks::type_name);
            for (const auto& task : order.tasks) end(order.job, task);
        } else if (envelope.type == StopAttempts::type_name) {
            // All have ended already: there is nothing to give back.
            link.send(AttemptsRetracted{});
        }
    }

    /// Reports what has ended since the last time.
    void report(Connection& link) {
        while (!ended_.empty()) {
            AttemptsEnded message;
            const auto count = std::min(ended_.size(), reports_per_frame);
            const auto end = ended_.begin() + static_cast<std::ptrdiff_t>(count);
            message.reports.assign(ended_.begin(), end);
            ended_.erase(ended_.begin(), end);
            link.send(message);
        }
    }

    std::int64_t count() const { return count_; }

  private:
    static constexpr std::size_t reports_per_frame = 128;  // below limits::control_frame_bytes

    void end(std::int64_t job, const TaskOrder& task) {
        ++count_;
        auto& report = ended_.emplace_back();
        report.key = {job, task.task, task.attempt};
        report.outcome = "exited";
        report.exit_code = 0;
        report.duration_seconds = 0.0008;  // of /bin/true on a good day
        report.cpu_seconds = 0.0005;
        report.max_rss_bytes = std::int64_t{1} << 20;
    }

    std::deque<AttemptReport> ended_;
    std::int64_t count_ = 0;
};

}  // namespace rpic::bench
