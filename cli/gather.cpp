#include "cli/gather.hpp"

#include <algorithm>

#include "cli/download.hpp"
#include "cli/exit_codes.hpp"

namespace rpic {

namespace {

constexpr std::size_t complaints_shown = 5;

std::string complaint_about(const TaskView& task) {
    std::string text = "task " + std::to_string(task.index);
    if (!task.node.empty()) text += " on " + task.node;
    text += ": ";
    if (task.state == "cancelled") return text + task.reason.value_or("cancelled");
    if (task.reason && !task.reason->empty()) return text + *task.reason;
    if (task.exit_code) return text + "exit code " + std::to_string(*task.exit_code);
    if (task.signal) return text + "signal " + std::to_string(*task.signal);
    return text + "failed";
}

}  // namespace

std::string with_prefix(std::string_view text, const std::string& prefix, bool& at_line_begin) {
    std::string result;
    while (!text.empty()) {
        if (at_line_begin) result += prefix;
        const auto end = text.find('\n');
        at_line_begin = end != std::string_view::npos;
        const auto length = at_line_begin ? end + 1 : text.size();
        result += text.substr(0, length);
        text.remove_prefix(length);
    }
    return result;
}

std::string failure_summary(const Gathered& result) {
    const auto bad = result.failed + result.cancelled;
    if (bad == 0) return {};
    std::string text;
    if (result.failed > 0) text = std::to_string(result.failed) + " failed";
    if (result.cancelled > 0)
        text += (text.empty() ? "" : ", ") + std::to_string(result.cancelled) + " cancelled";
    text += " of " + std::to_string(tasks_in_all(result.job)) + " tasks";
    for (const auto& complaint : result.complaints) text += "\n  " + complaint;
    if (bad > static_cast<std::int64_t>(result.complaints.size()))
        text += "\n  ... (\"rpicluster job " + result.job.id + " --state failed\" lists them)";
    return text;
}

Gatherer::Gatherer(Client& client, std::string job, const Console& console, GatherOptions options)
    : client_(client),
      id_(std::move(job)),
      console_(console),
      options_(std::move(options)),
      finished_(id_, options_.tasks),
      copier_(client, job_number(id_)) {}

Gathered Gatherer::run() {
    JobWatcher watcher;
    watcher.on_change = [this](const std::vector<JobView>& jobs) {
        if (!jobs.empty()) result_.job = jobs.front();
        look();
        hand_out(false);
        show_progress();
    };
    watcher.on_tick = [this] { show_progress(); };
    watcher.enough = [this] { return !options_.tasks.empty() && finished_.all_ended(); };
    watch_jobs(client_, id_, watcher);
    for (;;) {
        look();
        if (found_.empty() && waiting_.empty()) break;
        hand_out(true);
    }
    line_.clear();
    return std::move(result_);
}

void Gatherer::look() {
    finished_.begin_look();
    while (const auto request = finished_.next_request()) {
        const auto answer = across_restarts(client_, [&] { return get_job(client_, *request); });
        finished_.take(answer.tasks, answer.next, found_);
        if (!options_.keep_order) hand_out(false);
    }
}

/// Prints what may be printed now.
void Gatherer::hand_out(bool all) {
    std::vector<TaskView> now;
    if (options_.keep_order) {
        for (auto& task : found_) waiting_.emplace(task.index, std::move(task));
        while (!waiting_.empty() && (all || finished_.all_ended_before(waiting_.begin()->first))) {
            now.push_back(std::move(waiting_.begin()->second));
            waiting_.erase(waiting_.begin());
        }
        found_.clear();
    } else {
        now = std::exchange(found_, {});
    }
    if (!options_.outputs) {
        for (const auto& task : now) finish_task(task);
        return;
    }
    const OutputCopier::Sink sink = [this](const TaskView& task, OutputStream stream,
                                           std::string_view bytes) { write(task, stream, bytes); };
    copier_.copy(
        now, sink, [](const TaskView&) {},
        [this](const TaskView& task) {
            finish_task(task);
            options_.end_of_task(task);
        });
}

void Gatherer::write(const TaskView& task, OutputStream stream, std::string_view bytes) {
    line_.clear();
    if (options_.sink)
        options_.sink(task, stream, bytes);
    else
        console_.write(stream, bytes);
}

void Gatherer::finish_task(const TaskView& task) {
    if (task.state == "failed") ++result_.failed;
    if (task.state == "cancelled") ++result_.cancelled;
    result_.worst_code = std::max(result_.worst_code, exit_code::of_task(task));
    if (task.state != "done" && result_.complaints.size() < complaints_shown)
        result_.complaints.push_back(complaint_about(task));
    if (options_.folder.empty() || task.files.empty()) return;
    const auto brought = across_restarts(client_, [&] {
        return download_manifest(client_, task.files, options_.folder, [&](const auto& progress) {
            line_.show("receiving " + transfer_text(progress.bytes_done, progress.bytes,
                                                    progress.files_done, progress.files));
        });
    });
    if (brought.replaced.empty()) return;
    line_.clear();
    console_.say("task " + std::to_string(task.index) + " brought another " +
                 brought.replaced.front() + " than there was before" +
                 (brought.replaced.size() > 1 ? ", and more" : ""));
}

void Gatherer::show_progress() {
    line_.show(progress_.text(result_.job, Clock::now()));
}

}  // namespace rpic
