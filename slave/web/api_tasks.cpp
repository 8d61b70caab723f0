#include <charconv>
#include <functional>
#include <utility>

#include "common/limits.hpp"
#include "common/selector.hpp"
#include "common/sleep.hpp"
#include "common/task_output.hpp"
#include "common/text.hpp"
#include "slave/web/api_job.hpp"
#include "slave/web/handlers.hpp"
#include "slave/web/job_body.hpp"
#include "slave/web/log_text.hpp"

/// The tasks of a job, and what they print.
namespace rpic::api {

namespace {

using Visit = MasterDesk::Visit;

struct TaskPage {
    std::vector<TaskView> tasks;
    std::optional<std::int64_t> next;
};

awaitable<TaskPage> ask_tasks(Visit& visit, GetJob request) {
    visit.send(std::move(request));
    auto reply = co_await visit.reply();
    take_answer<JobDetail>(std::move(reply));
    TaskPage page;
    for (bool more = true; more;) {
        reply = co_await visit.reply();
        auto part = take_answer<TaskList>(std::move(reply));
        for (auto& task : part.tasks) page.tasks.push_back(std::move(task));
        more = part.more;
        page.next = part.next;
    }
    co_return page;
}

/// One answer to a question about output, taken into `output`; false if nothing new came.
awaitable<bool> read_output(Visit& visit, TaskOutput& output, bool wait,
                            const OutputReader::Sink& sink,
                            const std::function<void(std::int64_t)>& on_new_attempt) {
    visit.send(output.request(wait));
    auto reply = co_await visit.reply(limits::output_wait + limits::request_time);
    const auto raw = std::move(reply.raw);
    const auto answer = take_answer<Output>(std::move(reply));
    if (answer.attempt != output.attempt()) on_new_attempt(answer.attempt);
    output.take(answer, raw, sink);
    co_return !raw.empty();
}

/// Events about a task's output, on their way to one browser.
class LogEvents {
  public:
    void begin_attempt(std::int64_t attempt) {
        flush();
        text_.reset();
        json::object data;
        data["attempt"] = attempt;
        add("attempt", data);
    }
    void add_output(OutputStream stream, std::string_view bytes) {
        if (stream != stream_ && !pending_.empty()) flush();
        stream_ = stream;
        pending_ += text_.feed(stream, bytes);
    }
    void end(std::int64_t attempt) {
        flush();
        json::object data;
        data["attempt"] = attempt;
        add("end", data);
    }
    /// What there is to send; `id` names the place behind it.
    std::string take(const std::string& id) {
        flush();
        if (!events_.empty() && !id.empty()) events_ += "id: " + id + "\n\n";
        return std::exchange(events_, {});
    }

  private:
    void flush() {
        if (pending_.empty()) return;
        json::object data;
        data["text"] = std::exchange(pending_, {});
        add(stream_name(stream_), data);
    }
    void add(std::string_view type, const json::object& data) {
        events_ += "event: ";
        events_ += type;
        events_ += "\ndata: " + json::serialize(data) + "\n\n";
    }

    LogText text_;
    OutputStream stream_ = OutputStream::out;
    std::string pending_;
    std::string events_;
};

Answer event_stream() {
    Answer head;
    head.fields.emplace_back("Content-Type", "text/event-stream");
    head.fields.emplace_back("Cache-Control", "no-store");
    head.events = true;
    return head;
}

}  // namespace

std::int64_t task_index(const Exchange& exchange) {
    const auto& text = exchange.parameter("task");
    std::int64_t number = 0;
    const auto end = text.data() + text.size();
    const auto [rest, error] = std::from_chars(text.data(), end, number);
    if (error != std::errc() || rest != end || number < 0)
        throw ProblemError(404, "there is no task " + printable(text, limits::name_chars) +
                                    ": a task is named by its index, which is a number");
    return number;
}

awaitable<Answer> list_tasks(Exchange& exchange) {
    GetJob request;
    request.job = std::to_string(job_number(exchange));
    request.limit = exchange.number("limit", 1, static_cast<std::int64_t>(limits::web_page), 100);
    request.after = exchange.number("cursor", 0, INT64_MAX, -1);
    request.state = exchange.choice("state", "queued|running|done|failed|cancelled");
    request.tasks = exchange.option("tasks");
    try {
        static_cast<void>(NumberSelector::parse(request.tasks));
    } catch (const SyntaxError& error) {
        throw ProblemError(400, std::string("tasks: ") + error.what());
    }
    auto visit = co_await exchange.visit();
    const auto page = co_await ask_tasks(*visit, std::move(request));
    json::object object;
    object["version"] = 1;
    json::array tasks;
    for (const auto& task : page.tasks) tasks.push_back(task_json(task));
    object["tasks"] = std::move(tasks);
    object["next"] = nullptr;
    if (page.next) object["next"] = std::to_string(*page.next);
    auto text = json::serialize(object);
    const auto etag = etag_of(text);
    co_return tagged(exchange.request, json_answer(std::move(text)), etag);
}

awaitable<TaskView> ask_task(Exchange& exchange, Visit& visit) {
    GetJob request;
    request.job = std::to_string(job_number(exchange));
    const auto index = task_index(exchange);
    request.tasks = std::to_string(index);
    request.after = index - 1;
    request.limit = 1;
    auto page = co_await ask_tasks(visit, std::move(request));
    if (page.tasks.empty()) throw ProblemError(404, "the job has no task " + std::to_string(index));
    co_return std::move(page.tasks.front());
}

awaitable<Answer> get_task(Exchange& exchange) {
    auto visit = co_await exchange.visit();
    const auto task = co_await ask_task(exchange, *visit);
    json::object object;
    object["version"] = 1;
    object["task"] = task_json(task);
    auto text = json::serialize(object);
    const auto etag = etag_of(text);
    co_return tagged(exchange.request, json_answer(std::move(text)), etag);
}

awaitable<Answer> get_log(Exchange& exchange) {
    const auto wanted = exchange.choice("stream", "all|out|err");
    TaskOutput output(job_number(exchange), task_index(exchange));
    auto visit = co_await exchange.visit();
    std::string text;
    const OutputReader::Sink sink = [&](OutputStream stream, std::string_view bytes) {
        if (wanted.empty() || wanted == "all" || wanted == stream_name(stream)) text += bytes;
    };
    const std::function<void(std::int64_t)> anew = [](std::int64_t) {};
    bool more = co_await read_output(*visit, output, false, sink, anew);
    const auto attempt = output.attempt();
    Answer head;
    head.fields.emplace_back("Content-Type", "text/plain; charset=utf-8");
    head.fields.emplace_back("Cache-Control", "no-store");
    head.chunked = true;
    const bool body_wanted = co_await exchange.wire.begin(std::move(head));
    while (body_wanted) {
        std::string piece;
        std::swap(piece, text);
        if (!piece.empty()) co_await exchange.wire.write(std::move(piece));
        // A later attempt is another output.
        if (!more || output.complete() || output.attempt() != attempt) break;
        exchange.wire.allow(2 * limits::request_time, "the master did not send the output");
        more = co_await read_output(*visit, output, false, sink, anew);
    }
    if (body_wanted) co_await exchange.wire.end();
    Answer answer;
    answer.sent = true;
    co_return answer;
}

awaitable<Answer> follow_log(Exchange& exchange) {
    TaskOutput output(job_number(exchange), task_index(exchange));
    auto visit = co_await exchange.visit(true);
    if (const auto place = place_in(exchange.request.last_event_id)) output.resume(*place);
    LogEvents events;
    const OutputReader::Sink sink = [&](OutputStream stream, std::string_view bytes) {
        events.add_output(stream, bytes);
    };
    const std::function<void(std::int64_t)> anew = [&](std::int64_t attempt) {
        events.begin_attempt(attempt);
    };
    bool news = false;
    try {
        news = co_await read_output(*visit, output, false, sink, anew);
    } catch (const BadMessageError&) {
        // The browser was never at that place: it begins anew.
        output = TaskOutput(job_number(exchange), task_index(exchange));
        events = LogEvents();
    }
    const bool wanted = co_await exchange.wire.begin(event_stream());
    Instant spoke = Clock::now();
    while (wanted) {
        if (output.ended()) events.end(output.attempt());
        auto text = events.take(event_id(output.place()));
        if (text.empty() && Clock::now() - spoke >= limits::web_keep_alive) text = ": alive\n\n";
        if (exchange.wire.browser_has_gone()) break;
        if (!text.empty()) {
            spoke = Clock::now();
            co_await exchange.wire.write(std::move(text));
        }
        if (output.ended()) break;
        exchange.wire.allow(2 * limits::request_time, "the master did not send the output");
        // An attempt that is over adds nothing, and its successor has yet to start.
        if (!news) co_await sleep_for(std::chrono::milliseconds(250));
        news = co_await read_output(*visit, output, true, sink, anew);
    }
    Answer answer;
    answer.sent = true;
    co_return answer;
}

}  // namespace rpic::api
