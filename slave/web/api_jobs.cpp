#include "slave/web/api_job.hpp"

#include <charconv>
#include <map>

#include "common/limits.hpp"
#include "common/text.hpp"
#include "common/utf8.hpp"
#include "slave/web/handlers.hpp"
#include "slave/web/job_body.hpp"
#include "slave/web/json_body.hpp"
#include "slave/web/transfer.hpp"
#include "slave/web/waiting.hpp"

/// Jobs: the list, one of them, and what is done with it.
namespace rpic::api {

namespace {

using Visit = MasterDesk::Visit;

std::string job_text(const JobView& job, const JobSpec& spec) {
    json::object object;
    object["version"] = 1;
    object["job"] = to_json(job);
    object["spec"] = job_spec_json(spec);
    return json::serialize(object);
}

bool has_ended(const JobView& job) {
    return job.state == "done" || job.state == "failed" || job.state == "cancelled";
}

awaitable<JobDetail> ask_job(Visit& visit, std::int64_t job) {
    GetJob request;
    request.job = std::to_string(job);
    request.limit = 0;
    visit.send(request);
    auto reply = co_await visit.reply();
    auto detail = take_answer<JobDetail>(std::move(reply));
    detail.job.command = detail.spec.command;
    for (bool more = true; more;) {
        reply = co_await visit.reply();
        more = take_answer<TaskList>(std::move(reply)).more;
    }
    co_return detail;
}

/// Waits as the request says; `detail` is the job as it is then.
awaitable<void> wait_for_job(Exchange& exchange, Visit& visit, JobDetail& detail,
                             Duration patience) {
    const auto& condition = exchange.request.if_none_match;
    const auto satisfied = [&] {
        if (!condition.empty())
            return !etag_matches(condition, etag_of(job_text(detail.job, detail.spec)));
        return has_ended(detail.job);
    };
    if (satisfied()) co_return;
    exchange.wire.allow(patience + limits::web_request_time, "it waited for too long");
    const auto deadline = Clock::now() + patience;
    WatchJobs watch;
    watch.jobs = detail.job.id;
    visit.send(watch);
    while (!satisfied()) {
        const Duration left = deadline - Clock::now();
        if (left <= Duration::zero()) co_return;
        auto reply = co_await visit.news(left);
        if (!reply || std::holds_alternative<Done>(reply->message)) co_return;
        auto list = take_answer<JobList>(std::move(*reply));
        if (!list.jobs.empty()) detail.job = std::move(list.jobs.front());
    }
}

/// Why a job that has ended cannot be changed so: what has no effect is no success. Empty if it
/// can.
std::string impossible(const HoldJobs&, const JobView&) {
    return "it has no tasks left that could wait; POST to its /retry runs failed ones again";
}
std::string impossible(const SetPriority&, const JobView&) {
    return "it has no tasks left that could come earlier or later";
}
std::string impossible(const CancelJobs&, const JobView& job) {
    return job.state == "cancelled" ? std::string() : "there is nothing left to cancel";
}
std::string impossible(const RetryJob&, const JobView&) {
    return {};
}

/// Sends a request about the job of the path, and tells the job as it is then.
template <class Request>
awaitable<Answer> change_job(Exchange& exchange, Request request) {
    const auto job = job_number(exchange);
    auto visit = co_await exchange.visit();
    visit->send(request);
    auto reply = co_await visit->reply();
    const bool had_ended = take_answer<Done>(std::move(reply)).had_ended;
    const auto detail = co_await ask_job(*visit, job);
    const auto reason = impossible(request, detail.job);
    if (had_ended && !reason.empty())
        throw ProblemError(
            409, "job " + detail.job.id + " has ended (" + detail.job.state + "): " + reason);
    co_return json_answer(job_text(detail.job, detail.spec));
}

awaitable<Answer> ask_jobs(Exchange& exchange, ListJobs request, std::int64_t limit) {
    auto visit = co_await exchange.visit();
    visit->send(std::move(request));
    std::vector<JobView> jobs;
    for (bool more = true; more;) {
        auto reply = co_await visit->reply();
        auto page = take_answer<JobList>(std::move(reply));
        for (auto& job : page.jobs) jobs.push_back(std::move(job));
        more = page.more;
    }
    json::object object;
    object["version"] = 1;
    object["next"] = nullptr;
    if (static_cast<std::int64_t>(jobs.size()) > limit) {
        jobs.resize(static_cast<std::size_t>(limit));
        object["next"] = jobs.back().id;
    }
    object["jobs"] = to_json(jobs);
    co_return json_answer(json::serialize(object));
}

/// Every file that the job names must have been sent: a task that starts without it could only
/// fail.
awaitable<void> check_files(Visit& visit, const JobBody& job) {
    std::map<std::string, std::string> paths;  // file -> where the job wants it
    const auto add = [&](const Manifest& files) {
        for (const auto& entry : files.entries)
            if (entry.is_file()) paths.emplace(entry.blob, entry.path);
    };
    add(job.in);
    for (const auto& [arch, files] : job.in_arch) add(files);
    for (auto next = paths.begin(); next != paths.end();) {
        HaveBlobs have;
        for (; next != paths.end() && have.blobs.size() < limits::blobs_per_request; ++next)
            have.blobs.push_back(next->first);
        visit.send(std::move(have));
        auto reply = co_await visit.reply();
        const auto missing = take_answer<MissingBlobs>(std::move(reply)).blobs;
        if (!missing.empty())
            throw ProblemError(400, "the master has not got the file for " +
                                        printable(paths[missing.front()], limits::log_text_chars) +
                                        ": PUT it to /api/v1/files/" +
                                        printable(missing.front(), 64) + " before the job");
    }
}

/// What belongs to the job goes to the master before it.
awaitable<void> send_ahead(Visit& visit, JobBody& job) {
    if (!job.items.empty()) job.spec.items = co_await put_bytes(visit, std::move(job.items));
    if (!job.in.entries.empty()) {
        auto blob = co_await put_bytes(visit, format_manifest(job.in));
        job.spec.in.push_back(std::move(blob));
    }
    for (const auto& [arch, files] : job.in_arch) {
        auto blob = co_await put_bytes(visit, format_manifest(files));
        job.spec.in_arch[arch] = std::move(blob);
    }
}

}  // namespace

std::int64_t job_number(const Exchange& exchange) {
    const auto& text = exchange.parameter("job");
    std::int64_t number = 0;
    const auto end = text.data() + text.size();
    const auto [rest, error] = std::from_chars(text.data(), end, number);
    if (error != std::errc() || rest != end || number < 1)
        throw ProblemError(404, "there is no job " + printable(text, limits::name_chars) +
                                    ": /api/v1/jobs lists them by their numbers");
    return number;
}

awaitable<Answer> list_jobs(Exchange& exchange) {
    ListJobs request;
    const auto page = static_cast<std::int64_t>(limits::web_page);
    const auto limit = exchange.number("limit", 1, page, 100);
    request.limit = limit + 1;  // one more tells whether there are more
    request.before = exchange.number("cursor", 1, INT64_MAX, 0);
    request.state = exchange.choice("state", "queued|held|running|done|failed|cancelled");
    const auto patience = exchange.wait();
    const auto deadline = Clock::now() + patience.value_or(Duration::zero());
    const auto& condition = exchange.request.if_none_match;
    auto& view = exchange.services.view;
    auto seen = view.version_of(ClusterView::Part::jobs);
    bool asked = false;
    for (;;) {
        const Duration left = deadline - Clock::now();
        const bool may_wait = patience && left > Duration::zero();
        if (may_wait && (asked || condition.empty())) {
            exchange.wire.allow(left + limits::web_request_time, "it waited for too long");
            co_await wait_for_change(view, ClusterView::Part::jobs, seen, left);
        }
        // What changes from here on may be missing in the answer.
        seen = view.version_of(ClusterView::Part::jobs);
        Answer answer = co_await ask_jobs(exchange, request, limit);
        const auto etag = etag_of(answer.text);
        asked = true;
        const bool again = may_wait && etag_matches(condition, etag);
        if (!again) co_return tagged(exchange.request, std::move(answer), etag);
    }
}

awaitable<Answer> submit_job(Exchange& exchange) {
    const auto body = co_await json_body(exchange);
    auto job = read_job(body);
    const auto& key = exchange.request.idempotency_key;
    if (!key.empty()) job.spec.idempotency_key = key;
    if (job.spec.idempotency_key.size() > limits::text_chars || !is_utf8(key))
        throw ProblemError(400, "an idempotency key is UTF-8 and has at most " +
                                    std::to_string(limits::text_chars) + " bytes");
    if (json::serialize(to_json(job.spec)).size() > limits::job_spec_bytes)
        throw ProblemError(400, "command, environment and options are larger than " +
                                    format_size(limits::job_spec_bytes) +
                                    " in all: put what is long into a file and send it along "
                                    "with `in`");
    auto visit = co_await exchange.visit();
    co_await check_files(*visit, job);
    co_await send_ahead(*visit, job);
    Submit request;
    request.spec = std::move(job.spec);
    visit->send(std::move(request));
    auto reply = co_await visit->reply();
    const auto submitted = take_answer<Submitted>(std::move(reply));
    json::object object;
    object["version"] = 1;
    object["job"] = to_json(submitted.job);
    object["warning"] = submitted.warning;
    auto answer = json_answer(json::serialize(object), 201);
    answer.fields.emplace_back("Location", "/api/v1/jobs/" + submitted.job.id);
    co_return answer;
}

awaitable<Answer> get_job(Exchange& exchange) {
    const auto job = job_number(exchange);
    const auto patience = exchange.wait();
    auto visit = co_await exchange.visit();
    auto detail = co_await ask_job(*visit, job);
    if (patience) co_await wait_for_job(exchange, *visit, detail, *patience);
    auto text = job_text(detail.job, detail.spec);
    const auto etag = etag_of(text);
    co_return tagged(exchange.request, json_answer(std::move(text)), etag);
}

awaitable<Answer> explain_job(Exchange& exchange) {
    ExplainJob request;
    request.job = std::to_string(job_number(exchange));
    auto visit = co_await exchange.visit();
    visit->send(std::move(request));
    auto reply = co_await visit->reply();
    auto object = to_json(take_answer<Explanation>(std::move(reply))).as_object();
    object.erase("id");
    object["version"] = 1;
    co_return json_answer(json::serialize(object));
}

awaitable<Answer> cancel_job(Exchange& exchange) {
    const auto body = co_await json_body(exchange);
    check_members(body, {"tasks"});
    CancelJobs request;
    request.jobs = std::to_string(job_number(exchange));
    take_member(body, "tasks", request.tasks);
    if (body.contains("tasks") && request.tasks.empty())
        throw ProblemError(400, "tasks: expected indices such as \"1,3,5-8\"");
    Answer answer = co_await change_job(exchange, std::move(request));
    co_return answer;
}

awaitable<Answer> retry_job(Exchange& exchange) {
    const auto body = co_await json_body(exchange);
    check_members(body, {"cancelled"});
    RetryJob request;
    request.job = std::to_string(job_number(exchange));
    take_member(body, "cancelled", request.cancelled);
    Answer answer = co_await change_job(exchange, std::move(request));
    co_return answer;
}

awaitable<Answer> hold_job(Exchange& exchange) {
    HoldJobs request;
    request.jobs = std::to_string(job_number(exchange));
    Answer answer = co_await change_job(exchange, std::move(request));
    co_return answer;
}

awaitable<Answer> release_job(Exchange& exchange) {
    HoldJobs request;
    request.jobs = std::to_string(job_number(exchange));
    request.release = true;
    Answer answer = co_await change_job(exchange, std::move(request));
    co_return answer;
}

awaitable<Answer> set_priority(Exchange& exchange) {
    const auto body = co_await json_body(exchange);
    check_members(body, {"priority"});
    SetPriority request;
    request.job = std::to_string(job_number(exchange));
    if (!body.contains("priority"))
        throw ProblemError(400, "expected {\"priority\": N}, a whole number: higher comes first");
    take_member(body, "priority", request.priority);
    Answer answer = co_await change_job(exchange, std::move(request));
    co_return answer;
}

}  // namespace rpic::api
