#include "master/store/stored_job.hpp"

#include <stdexcept>

#include "common/limits.hpp"
#include "common/where.hpp"
#include "master/store/lines.hpp"

namespace rpic {

namespace {

template <class Number>
bool within(Number value, Number low, Number high) {
    return value >= low && value <= high;  // not so for what is no number
}

/// What cannot be, in words; empty if all can.
std::string problem(const JobStatus& status) {
    if (!within(status.id, JobId{1}, highest_job)) return "the id";
    if (!within(status.size, std::int64_t{1}, limits::tasks_per_job)) return "the number of tasks";
    if (!within(status.step, std::int64_t{1}, limits::array_index) ||
        !within(status.first, std::int64_t{0}, limits::array_index) ||
        (status.size - 1) > (limits::array_index - status.first) / status.step)
        return "the indices of the tasks";
    if (!within(status.done, std::int64_t{0}, status.size) ||
        !within(status.failed, std::int64_t{0}, status.size - status.done))
        return "the number of ended tasks";
    if (!within(status.last_attempt, std::int64_t{0}, highest_attempt) ||
        !within(status.highest_attempt, std::int64_t{0}, highest_attempt))
        return "the number of attempts";
    if (!within(status.round, std::int64_t{0}, highest_attempt) ||
        !within(status.cancelled_round, std::int64_t{0}, status.round) ||
        !within(status.rest_round, std::int64_t{0}, status.round))
        return "the number of retries";
    if (status.task_limit < 0) return "the limit of tasks at once";
    if (!within(status.priority, -limits::job_priority, limits::job_priority))
        return "the priority";
    return {};
}

std::string problem(const JobSpec& spec) {
    if (spec.command.empty()) return "the command";
    if (!within(spec.cpus, 0.0, static_cast<double>(limits::job_cpus))) return "the cpus";
    if (!within(spec.lost_after_seconds, 0.0, 1e7)) return "the time after which it is lost";
    if (!within(spec.time_limit_seconds, 0.0, 1e9)) return "the time limit";
    if (spec.memory_bytes < 0) return "the memory";
    for (const auto& [name, count] : spec.resources)
        if (count < 1) return "the resources";
    if (!within(spec.retries, std::int64_t{0}, limits::job_retries)) return "the retries";
    try {
        static_cast<void>(Where::parse(spec.where));
    } catch (const WhereError& error) {
        return std::string("the expression (") + error.what() + ")";
    }
    return {};
}

}  // namespace

void check_stored(const StoredJob& job) {
    auto what = problem(job.status);
    if (what.empty()) what = problem(*job.spec);
    if (!what.empty())
        throw std::runtime_error("job " + std::to_string(job.status.id) + ": " + what +
                                 " cannot be right");
}

void check_stored_counters(const StoreContents& contents) {
    constexpr std::int64_t most_restores = 1'000'000'000;
    if (!within(contents.epoch, std::int64_t{1}, most_restores))
        throw std::runtime_error("the epoch " + std::to_string(contents.epoch) +
                                 " cannot be right");
    if (!within(contents.next_job, JobId{1}, highest_job + 1))
        throw std::runtime_error("the next job id " + std::to_string(contents.next_job) +
                                 " cannot be right");
}

}  // namespace rpic
