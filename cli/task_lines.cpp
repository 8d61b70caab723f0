#include "cli/task_lines.hpp"

#include <algorithm>
#include <cstdio>

#include "cli/output.hpp"
#include "common/utf8.hpp"

namespace rpic {

namespace {

constexpr std::size_t kept_bytes = 4 * 1024 * 1024;  // of one stream; the rest is in the logs

void print_now(const json::object& line) {
    write_now(stdout, json::serialize(line) + '\n');
}

}  // namespace

void TaskLines::print(const JobView& job) const {
    json::object line;
    line["job"] = to_json(job);
    print_now(line);
}

void TaskLines::take_over(GatherOptions& options) {
    options.outputs = true;
    options.sink = [this](const TaskView&, OutputStream stream, std::string_view bytes) {
        take(stream, bytes);
    };
    options.end_of_task = [this](const TaskView& task) { end_task(task); };
}

void TaskLines::take(OutputStream stream, std::string_view bytes) {
    auto& text = stream == OutputStream::out ? out_ : err_;
    const auto room = kept_bytes - std::min(kept_bytes, text.size());
    cut_ = cut_ || bytes.size() > room;
    text += bytes.substr(0, room);
}

void TaskLines::end_task(const TaskView& task) {
    json::object line;
    line["task"] = to_json(task);
    line["stdout"] = as_utf8(out_);
    line["stderr"] = as_utf8(err_);
    if (cut_) line["cut"] = true;
    print_now(line);
    out_.clear();
    err_.clear();
    cut_ = false;
}

}  // namespace rpic
