#include <unistd.h>

#include <array>
#include <cstdio>
#include <memory>

#include "cli/gather.hpp"
#include "cli/job_json.hpp"
#include "cli/verbs.hpp"
#include "common/errors.hpp"
#include "common/utf8.hpp"

namespace rpic {

namespace {

const char* stream_name(OutputStream stream) {
    if (stream == OutputStream::out) return "stdout";
    return stream == OutputStream::err ? "stderr" : "note";
}

/// Where the outputs of tasks go.
class Printer {
  public:
    virtual ~Printer() = default;
    virtual void write(std::int64_t task, OutputStream stream, std::string_view bytes) = 0;
    virtual void end_task() {}
    virtual void end() {}
};

class TextPrinter : public Printer {
  public:
    explicit TextPrinter(bool prefix) : prefix_(prefix) {}

    void write(std::int64_t task, OutputStream stream, std::string_view bytes) override {
        if (!prefix_) return console_.write(stream, bytes);
        const auto prefix = coloured(std::to_string(task) + ": ", Colour::dim);
        console_.write(stream, with_prefix(bytes, prefix, at_line_begin_));
    }
    /// What a task printed last may lack the end of its line.
    void end_task() override {
        if (prefix_ && !at_line_begin_) console_.write(OutputStream::out, "\n");
        at_line_begin_ = true;
    }

  private:
    Console console_;
    bool prefix_;
    bool at_line_begin_ = true;
};

/// {"task":0,"stream":"stdout","text":"..."}: one a line, or all of them in one value.
class JsonPrinter : public Printer {
  public:
    explicit JsonPrinter(bool lines) : lines_(lines) {
        if (!lines_) std::printf("{\"version\":1,\"output\":[");
    }

    void write(std::int64_t task, OutputStream stream, std::string_view bytes) override {
        task_ = task;
        auto& rest = rests_[static_cast<std::size_t>(stream)];
        rest += bytes;
        const auto tail = incomplete_tail(rest);
        const auto whole = rest.size() - tail;
        print(stream, std::string_view(rest).substr(0, whole));
        rest.erase(0, whole);
    }
    void end_task() override {
        for (std::size_t i = 0; i < rests_.size(); ++i)
            print(static_cast<OutputStream>(i), std::exchange(rests_[i], {}));
    }
    void end() override {
        if (!lines_) write_now(stdout, "]}\n");
    }

  private:
    void print(OutputStream stream, std::string_view text) {
        if (text.empty()) return;
        json::object line;
        line["task"] = task_;
        line["stream"] = stream_name(stream);
        line["text"] = as_utf8(text);
        auto written = json::serialize(line);
        if (lines_)
            written += '\n';
        else if (!std::exchange(first_, false))
            written.insert(0, ",");
        write_now(stdout, written);
    }

    bool lines_;
    bool first_ = true;
    std::int64_t task_ = 0;
    std::array<std::string, 4> rests_;  // of each stream: the begin of a character
};

/// All that there is now.
void print_outputs(Client& client, GetJob request, std::int64_t job, Printer& printer) {
    OutputCopier copier(client, job);
    for (;;) {
        const auto answer = across_restarts(client, [&] { return get_job(client, request); });
        copier.copy(
            answer.tasks,
            [&](const TaskView& task, OutputStream stream, std::string_view bytes) {
                printer.write(task.index, stream, bytes);
            },
            [](const TaskView&) {}, [&](const TaskView&) { printer.end_task(); });
        if (!answer.next) return;
        request.after = *answer.next;
    }
}

void follow_one(Client& client, std::int64_t job, std::int64_t task, Printer& printer) {
    OutputFollower follower;
    follower.sink = [&](OutputStream stream, std::string_view bytes) {
        printer.write(task, stream, bytes);
    };
    follower.on_new_attempt = [](std::int64_t) {
        std::fprintf(stderr, "rpicluster: the task runs again; its output begins anew\n");
    };
    follow_output(client, job, task, follower);
    printer.end_task();
}

void follow_many(Client& client, const GetJob& request, Printer& printer) {
    const Console console;
    GatherOptions options;
    options.tasks = request.tasks;
    options.sink = [&](const TaskView& task, OutputStream stream, std::string_view bytes) {
        printer.write(task.index, stream, bytes);
    };
    options.end_of_task = [&](const TaskView&) { printer.end_task(); };
    Gatherer(client, request.job, console, options).run();
}

}  // namespace

int verb_logs(const Invocation& invocation) {
    Arguments arguments(invocation.arguments);
    const bool f = arguments.take_toggle("-f");
    const bool follow = arguments.take_toggle("--follow") || f;
    const bool prefix = arguments.take_toggle("--prefix");
    GetJob request;
    if (const auto task = arguments.take_task()) {
        request.job = task->job;
        request.tasks = task->task;
        check_job(request.job);
        check_selector(request.tasks);
    } else {
        request.job = take_job(arguments);
    }
    arguments.finish();
    Client client(find_credentials(invocation.settings));
    GetJob first = request;
    first.limit = 2;
    const auto answer = get_job(client, first);
    if (answer.tasks.empty())
        throw RequestFailedError("not_found", "job " + request.job + " has no such task");
    const auto& job = answer.detail.job;
    request.job = job.id;
    const bool many = answer.tasks.size() > 1;
    std::unique_ptr<Printer> printer;
    if (invocation.machine_readable())
        printer = std::make_unique<JsonPrinter>(follow || invocation.format == Format::jsonl);
    else
        printer = std::make_unique<TextPrinter>(prefix || (many && ::isatty(1) == 1));
    if (follow && many)
        follow_many(client, request, *printer);
    else if (follow)
        follow_one(client, job_number(job.id), answer.tasks.front().index, *printer);
    else
        print_outputs(client, request, job_number(job.id), *printer);
    printer->end();
    return exit_code::ok;
}

}  // namespace rpic
