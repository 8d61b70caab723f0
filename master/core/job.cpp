#include "master/core/job.hpp"

#include <algorithm>
#include <cmath>

#include "common/array_range.hpp"
#include "common/glob.hpp"
#include "common/limits.hpp"
#include "common/text.hpp"

namespace rpic {

namespace {

std::string in_quotes(std::string_view text) {
    return "\"" + printable(text, limits::log_text_chars) + "\"";
}

bool is_dependency(std::string_view text) {
    for (const std::string_view kind : {"ok:", "any:"})
        if (text.starts_with(kind)) text.remove_prefix(kind.size());
    return !text.empty() && text.size() <= 15 &&
           text.find_first_not_of("0123456789") == std::string_view::npos;
}

std::string check_texts(const JobSpec& spec) {
    if (spec.command.empty() || spec.command.front().empty())
        return "the command is empty: say what to run behind \"--\"";
    if (spec.name.size() > limits::job_name_bytes)
        return "the name has " + std::to_string(spec.name.size()) + " bytes: expected at most " +
               std::to_string(limits::job_name_bytes) + ", because it is told with every event";
    // Whoever shows it in a line of its own should be able to.
    if (printable(spec.name, limits::job_name_bytes) != spec.name)
        return "bad name " + in_quotes(spec.name) +
               ": expected UTF-8 without line feeds and other control characters";
    for (const auto& word : spec.command)
        if (word.find('\0') != std::string::npos) return "a word of the command holds a NUL byte";
    if (spec.cwd.find('\0') != std::string::npos)
        return "the folder in which the task starts holds a NUL byte";
    for (const auto& [name, value] : spec.env)
        if (name.empty() || name.find('=') != std::string::npos ||
            (name + value).find('\0') != std::string::npos)
            return "bad environment variable " + in_quotes(name) + ": expected NAME=VALUE";
    for (const auto& dependency : spec.after)
        if (!is_dependency(dependency))
            return "bad dependency " + in_quotes(dependency) + ": expected ID, ok:ID or any:ID";
    if (spec.after.size() > limits::job_dependencies)
        return "more than " + std::to_string(limits::job_dependencies) + " dependencies";
    for (const auto& pattern : spec.out)
        if (const auto problem = glob_problem(pattern); !problem.empty())
            return "the pattern " + in_quotes(pattern) + " for files that come back " + problem;
    return {};
}

std::string check_blobs(const JobSpec& spec) {
    for (const auto& blob : spec.in)
        if (!is_blob_name(blob)) return "bad blob " + in_quotes(blob) + " among the input files";
    for (const auto& [arch, blob] : spec.in_arch)
        if (!is_blob_name(blob)) return "bad blob " + in_quotes(blob) + " among the input files";
    for (const auto* blob : {&spec.items, &spec.stdin_blob})
        if (!blob->empty() && !is_blob_name(*blob)) return "bad blob " + in_quotes(*blob);
    return {};
}

std::string check_numbers(const JobSpec& spec) {
    const auto outside = [](double value, double low, double high) {
        return !(value >= low && value <= high);
    };
    if (outside(spec.cpus, 0, static_cast<double>(limits::job_cpus)))
        return "cpus: expected 0 to " + std::to_string(limits::job_cpus);
    if (spec.memory_bytes < 0) return "mem: expected a size above 0";
    for (const auto& [name, count] : spec.resources)
        if (name.empty() || node_name(name) != name || count < 1)
            return "bad resource " + in_quotes(name) + ": expected NAME=COUNT, at least 1";
    if (spec.priority > limits::job_priority || spec.priority < -limits::job_priority)
        return "priority: expected -" + std::to_string(limits::job_priority) + " to " +
               std::to_string(limits::job_priority);
    if (outside(spec.time_limit_seconds, 0, 1e9)) return "time limit: expected a time above 0";
    if (spec.retries < 0 || spec.retries > limits::job_retries)
        return "retries: expected 0 to " + std::to_string(limits::job_retries);
    if (spec.max_fails && *spec.max_fails < 0) return "max-fails: expected 0 or more";
    if (spec.item_limit < 0) return "a limit of tasks at once is 1 or more";
    if (spec.on_disconnect != "" && spec.on_disconnect != "keep" && spec.on_disconnect != "stop")
        return "on-disconnect: expected keep or stop";
    const double least = to_seconds(limits::lost_after_stop_min);
    if (spec.lost_after_seconds != 0 && spec.on_disconnect != "stop")
        return "lost-after means something with --on-disconnect stop alone";
    if (spec.lost_after_seconds != 0 && outside(spec.lost_after_seconds, least, 1e7))
        return "lost-after: expected at least " + format_duration(least) +
               ", so that the node surely stops before another begins";
    return {};
}

}  // namespace

Attempt* ActiveTask::find(std::int64_t number) {
    for (auto& attempt : live)
        if (attempt.number == number) return &attempt;
    return nullptr;
}

bool ActiveTask::waits_on_node() const {
    bool waits = false;
    for (const auto& attempt : live) {
        if (attempt.detached) continue;
        if (!attempt.ahead) return false;
        waits = true;
    }
    return waits;
}

Job::Job(JobStatus given, std::shared_ptr<const JobSpec> what)
    : status(std::move(given)),
      spec(std::move(what)),
      where(Where::parse(spec->where)),
      cpus_milli(std::llround(spec->cpus * 1000)),
      stops(spec->on_disconnect == "stop") {
    if (stops)
        lost_after = spec->lost_after_seconds > 0
                         ? Duration(static_cast<std::int64_t>(spec->lost_after_seconds * 1e9))
                         : Duration(limits::lost_after_stop);
    if (status.ended) shrink();
}

std::optional<Position> Job::position(std::int64_t index) const {
    if (index < status.first) return std::nullopt;
    const auto offset = index - status.first;
    if (offset % status.step != 0 || offset / status.step >= status.size) return std::nullopt;
    return offset / status.step;
}

TaskState Job::state(Position position) const {
    const auto place = static_cast<std::size_t>(position);
    if (place < states_.size()) return states_[place];
    const bool cancelled = status.cancelled || status.rest_cancelled;
    return cancelled ? TaskState::cancelled : TaskState::queued;
}

void Job::set_state(Position position, TaskState state) {
    const auto place = static_cast<std::size_t>(position);
    if (place >= states_.size()) {
        // What is skipped is as it was before, only known one by one now.
        const auto untouched = status.cancelled ? TaskState::cancelled : TaskState::queued;
        if (untouched == TaskState::queued)
            for (auto skipped = frontier_; skipped < position; ++skipped) requeued_.insert(skipped);
        counts_[static_cast<std::size_t>(untouched)] +=
            static_cast<std::int64_t>(place + 1 - states_.size());
        states_.resize(place + 1, untouched);
        frontier_ = position + 1;
    }
    --counts_[static_cast<std::size_t>(states_[place])];
    states_[place] = state;
    ++counts_[static_cast<std::size_t>(state)];
    if (state != TaskState::queued) requeued_.erase(position);
}

std::int64_t Job::count(TaskState state) const {
    if (status.ended) {
        if (state == TaskState::done) return status.done;
        if (state == TaskState::failed) return status.failed;
        return state == TaskState::cancelled ? status.size - status.done - status.failed : 0;
    }
    auto count = counts_[static_cast<std::size_t>(state)];
    const auto untouched = status.size - frontier_;
    if (state == (status.cancelled ? TaskState::cancelled : TaskState::queued)) count += untouched;
    return count;
}

std::optional<Position> Job::next_waiting(Position from) const {
    if (const auto found = requeued_.next(from)) return found;
    const auto untouched = std::max(from, frontier_);
    if (untouched < status.size) return untouched;
    return std::nullopt;
}

void Job::tally(const ActiveTask& task, std::int64_t by) {
    if (task.waits_on_node()) waiting_on_nodes_ += by;
    for (const auto& attempt : task.live) {
        if (counts(attempt)) live_ += by;
        if (attempt.detached || attempt.ahead) continue;
        const auto node = running_on_.try_emplace(attempt.node).first;
        if ((node->second += by) == 0) running_on_.erase(node);
    }
}

void Job::take(Position position) {
    set_state(position, TaskState::running);
}

void Job::put_back(Position position) {
    set_state(position, TaskState::queued);
    requeued_.insert(position);
}

void Job::stop_queue() {
    status.cancelled = true;
    requeued_.clear();
    for (auto& state : states_) {
        if (state != TaskState::queued) continue;
        state = TaskState::cancelled;
        --counts_[static_cast<std::size_t>(TaskState::queued)];
        ++counts_[static_cast<std::size_t>(TaskState::cancelled)];
    }
}

void Job::shrink() {
    std::vector<TaskState>().swap(states_);
    requeued_.clear();
    std::unordered_map<Position, ActiveTask>().swap(active);
    counts_ = {};
    frontier_ = 0;
}

std::int64_t Job::queue_again(bool cancelled_too) {
    std::int64_t count = 0;
    for (Position position = 0; position < frontier_; ++position) {
        if (!is_taken_up(states_[static_cast<std::size_t>(position)], cancelled_too)) continue;
        put_back(position);
        ++count;
    }
    return count;
}

void Job::reopen(std::vector<TaskState> states) {
    status.ended = false;
    status.cancelled = false;
    status.reason.clear();
    status.finished_at = 0;
    // The end of them is as in a new job, unless what has no result there is cancelled.
    while (!status.rest_cancelled && !states.empty() && states.back() == TaskState::queued)
        states.pop_back();
    states_ = std::move(states);
    frontier_ = static_cast<Position>(states_.size());
    counts_ = {};
    requeued_.clear();
    for (Position position = 0; position < frontier_; ++position) {
        const auto state = states_[static_cast<std::size_t>(position)];
        ++counts_[static_cast<std::size_t>(state)];
        if (state == TaskState::queued) requeued_.insert(position);
    }
}

bool Job::all_ended() const {
    return active.empty() && count(TaskState::queued) == 0 && count(TaskState::running) == 0;
}

std::string Job::state_text() const {
    const bool too_many = spec->max_fails && failed() > *spec->max_fails;
    if (status.ended) {
        if (status.cancelled && !too_many) return "cancelled";
        return failed() > 0 ? "failed" : "done";
    }
    if (count(TaskState::running) > waiting_on_nodes()) return "running";
    return status.held ? "held" : "queued";
}

std::string check_spec(const JobSpec& spec, std::int64_t item_count, JobStatus& status) {
    for (const auto& complaint : {check_texts(spec), check_blobs(spec), check_numbers(spec)})
        if (!complaint.empty()) return complaint;
    try {
        static_cast<void>(Where::parse(spec.where));
    } catch (const WhereError& error) {
        return std::string("where: ") + error.what();
    }
    const int kinds = !spec.array.empty() + !spec.items.empty() + !spec.on_each.empty();
    if (kinds > 1)
        return "a job has an array, a list of items or a list of nodes, not two of these";
    if (!spec.array.empty()) {
        try {
            const auto range = ArrayRange::parse(spec.array);
            status.first = range.first;
            status.step = range.step;
            status.size = range.size();
            status.task_limit = range.limit;
        } catch (const SyntaxError& error) {
            return std::string("array: ") + error.what();
        }
    } else if (!spec.items.empty()) {
        if (item_count < 1) return "the list of items is empty";
        if (item_count > limits::tasks_per_job)
            return "more than " + std::to_string(limits::tasks_per_job) + " items";
        status.first = 1;
        status.size = item_count;
        status.task_limit = spec.item_limit;
    } else if (!spec.on_each.empty()) {
        status.first = 1;
        status.size = static_cast<std::int64_t>(spec.on_each.size());
    }
    return {};
}

NodeJob node_job(const Job& job, std::string_view arch) {
    const auto& spec = *job.spec;
    NodeJob told;
    told.command = spec.command;
    told.shell = spec.shell;
    told.items = !spec.items.empty() || spec.numbered;
    told.cpus = spec.cpus;
    told.memory_bytes = spec.memory_bytes;
    told.resources = spec.resources;
    told.time_limit_seconds = spec.time_limit_seconds;
    told.in = spec.in;
    if (const auto found = spec.in_arch.find(std::string(arch)); found != spec.in_arch.end())
        told.in.push_back(found->second);
    told.out = spec.out;
    told.env = spec.env;
    told.stdin_blob = spec.stdin_blob;
    told.cwd = spec.cwd;
    if (job.stops) {
        // The node must have stopped before the master lets another begin: its clock may run 2 %
        // slow and ours 2 % fast, it looks twice a second, and TERM is given 5 s.
        const double lost = to_seconds(job.lost_after);
        told.stop_after_seconds = lost * 0.96 - to_seconds(limits::stop_kill_time);
    }
    return told;
}

}  // namespace rpic
