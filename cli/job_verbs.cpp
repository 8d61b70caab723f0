#include <charconv>
#include <cstdio>

#include "cli/finished_tasks.hpp"
#include "cli/follow.hpp"
#include "cli/job_json.hpp"
#include "cli/progress.hpp"
#include "cli/verbs.hpp"
#include "common/errors.hpp"
#include "common/limits.hpp"
#include "common/shell_quote.hpp"
#include "common/text.hpp"

namespace rpic {

namespace {

constexpr std::int64_t tasks_in_table = 100;  // without --tasks, --state or --after
constexpr std::size_t command_chars = 60;     // of a command in a table

Colour state_colour(const std::string& state) {
    if (state == "done") return Colour::good;
    if (state == "failed") return Colour::bad;
    if (state == "cancelled" || state == "held") return Colour::warning;
    return Colour::none;
}

std::string seconds_or_dash(const std::optional<double>& seconds) {
    return seconds ? format_duration(*seconds) : "-";
}

void check_state(const std::string& state, std::initializer_list<const char*> states) {
    std::string list;
    for (const char* known : states) {
        if (state.empty() || state == known) return;
        list += (list.empty() ? "" : ", ") + std::string(known);
    }
    throw UsageError("bad value \"" + printable(state, limits::log_text_chars) +
                     "\" for --state: expected one of " + list);
}

std::string counts_text(const JobView& job) {
    return std::to_string(tasks_in(job, "done")) + "/" + std::to_string(tasks_in_all(job));
}

void print_jobs(const std::vector<JobView>& jobs, bool wide) {
    std::vector<std::string> header = {"ID",     "NAME",  "STATE",    "DONE",
                                       "FAILED", "NODES", "SUBMITTED"};
    if (wide)
        for (const char* name : {"FINISHED", "BY", "PRIORITY", "ARRAY", "REASON"})
            header.emplace_back(name);
    header.emplace_back("COMMAND");
    Table table(header);
    for (const auto& job : jobs) {
        const auto failed = tasks_in(job, "failed");
        std::vector<Table::Cell> row = {
            {job.id},
            {or_dash(printable(job.name, limits::name_chars))},
            {job.state, state_colour(job.state)},
            {counts_text(job)},
            {std::to_string(failed), failed > 0 ? Colour::bad : Colour::none},
            {std::to_string(job.nodes)},
            {job.submitted_at}};
        if (wide)
            for (const auto& text :
                 {job.finished_at.value_or("-"), or_dash(job.submitter),
                  std::to_string(job.priority), or_dash(job.array), job.reason.value_or("-")})
                row.push_back({printable(text, limits::text_chars)});
        const auto most = wide ? limits::text_chars : command_chars;
        row.push_back({printable(shell_line(job.command), most)});
        table.add(std::move(row));
    }
    table.print();
}

void print_tasks(const std::vector<TaskView>& tasks) {
    Table table({"TASK", "STATE", "NODE", "ATTEMPT", "CODE", "TIME", "CPU", "MEMORY", "REASON"});
    for (const auto& task : tasks) {
        const bool ended = has_ended(task);
        std::string code = "-";
        if (ended && task.signal)
            code = "signal " + std::to_string(*task.signal);
        else if (ended && task.exit_code)
            code = std::to_string(*task.exit_code);
        table.add({{std::to_string(task.index)},
                   {task.state, state_colour(task.state)},
                   {or_dash(task.node)},
                   {std::to_string(task.attempt)},
                   {code},
                   {seconds_or_dash(task.duration_seconds)},
                   {seconds_or_dash(task.cpu_seconds)},
                   {task.max_rss_bytes ? format_size(*task.max_rss_bytes) : "-"},
                   {printable(task.reason.value_or("-"), limits::text_chars)}});
    }
    table.print();
}

void print_job(const JobView& job) {
    const auto line = [](const char* name, const std::string& text) {
        if (!text.empty()) std::printf("%-10s %s\n", name, text.c_str());
    };
    line("Job", job.id + (job.name.empty() ? "" : " " + printable(job.name, limits::text_chars)));
    line("State", coloured(job.state, state_colour(job.state)));
    line("Reason", printable(job.reason.value_or(""), limits::text_chars));
    line("Tasks", JobProgress().text(job, Clock::now()));
    line("Command", printable(shell_line(job.command), limits::text_chars));
    line("Array", job.array);
    line("Submitted", job.submitted_at + (job.submitter.empty() ? "" : " by " + job.submitter));
    line("Finished", job.finished_at.value_or(""));
    std::printf("\n");
}

/// What a request that changes jobs has done.
int print_done(const Invocation& invocation, const char* what, const std::string& jobs) {
    if (invocation.machine_readable()) {
        json::object value;
        value[what] = jobs;
        print_json(std::move(value));
    } else {
        const bool many = jobs.find_first_of(",-") != std::string::npos || jobs == "all";
        std::printf("%s %s: %s\n", many ? "jobs" : "job", jobs.c_str(), what);
    }
    return exit_code::ok;
}

/// Asks for a change of jobs, and says which they were: what "last" stood for is worth to be told,
/// and so is that there was nothing to change. `tasks` stands behind the name of the jobs.
template <class Request>
int change(const Invocation& invocation, const Request& request, std::string jobs, const char* what,
           const std::string& tasks = {}) {
    Client client(find_credentials(invocation.settings));
    const auto done = client.template ask<Done>(request);
    if (jobs == "last" && !done.job.empty()) jobs = done.job;
    const bool over = done.had_ended && !invocation.machine_readable();
    return print_done(invocation, over ? "nothing to do, it has ended" : what, jobs + tasks);
}

int hold_or_release(const Invocation& invocation, bool release) {
    Arguments arguments(invocation.arguments);
    HoldJobs request;
    request.jobs = take_job_selector(arguments);
    request.release = release;
    arguments.finish();
    return change(invocation, request, request.jobs, release ? "released" : "held");
}

std::int64_t take_number(const std::string& word, const char* what) {
    std::int64_t number = 0;
    const auto end = word.data() + word.size();
    const auto [rest, error] = std::from_chars(word.data(), end, number);
    if (error != std::errc() || rest != end)
        throw UsageError("bad " + std::string(what) + " \"" +
                         printable(word, limits::log_text_chars) + "\": expected a whole number");
    return number;
}

}  // namespace

int verb_jobs(const Invocation& invocation) {
    Arguments arguments(invocation.arguments);
    ListJobs request;
    request.state = arguments.take_value("--state").value_or("");
    check_state(request.state, {"queued", "held", "running", "done", "failed", "cancelled"});
    if (!arguments.empty()) request.jobs = take_job_selector(arguments);
    arguments.finish();
    Client client(find_credentials(invocation.settings));
    const auto jobs = client.ask_all(request, &JobList::jobs);
    if (invocation.format == Format::json) {
        json::object value;
        value["jobs"] = to_json(jobs);
        print_json(std::move(value));
    } else if (invocation.format == Format::jsonl) {
        for (const auto& job : jobs) print_json_line(to_json(job));
    } else if (jobs.empty()) {
        std::fprintf(stderr, "No jobs%s. Start one: rpicluster submit -- COMMAND\n",
                     request.state.empty() && request.jobs.empty() ? " yet" : " like that");
    } else {
        print_jobs(jobs, invocation.format == Format::wide);
    }
    return exit_code::ok;
}

int verb_job(const Invocation& invocation) {
    Arguments arguments(invocation.arguments);
    GetJob request;
    request.tasks = arguments.take_value("--tasks").value_or("");
    request.state = arguments.take_value("--state").value_or("");
    const auto after = arguments.take_value("--after");
    request.job = take_job(arguments);
    arguments.finish();
    if (!request.tasks.empty()) check_selector(request.tasks);
    check_state(request.state, {"queued", "running", "done", "failed", "cancelled"});
    if (after) request.after = take_number(*after, "--after");
    const bool chosen = !request.tasks.empty() || !request.state.empty() || after;
    if (!invocation.machine_readable() && !chosen) request.limit = tasks_in_table;
    Client client(find_credentials(invocation.settings));
    const auto answer = get_job(client, request);
    if (invocation.format == Format::json) {
        print_job_json(answer);
    } else if (invocation.format == Format::jsonl) {
        for (const auto& task : answer.tasks) print_json_line(to_json(task));
    } else {
        print_job(answer.detail.job);
        print_tasks(answer.tasks);
        if (answer.next)
            std::fprintf(stderr,
                         "There are more tasks: --after %lld goes on, --state failed and --tasks "
                         "1,5-8 choose.\n",
                         static_cast<long long>(*answer.next));
    }
    return exit_code::ok;
}

int verb_cancel(const Invocation& invocation) {
    Arguments arguments(invocation.arguments);
    CancelJobs request;
    request.tasks = arguments.take_value("--tasks").value_or("");
    if (!request.tasks.empty()) check_selector(request.tasks);
    const auto task = arguments.take_task();
    if (task) {
        request.jobs = task->job;
        request.tasks = task->task;
    } else {
        request.jobs = take_job_selector(arguments);
    }
    arguments.finish();
    return change(invocation, request, request.jobs, "cancelled",
                  request.tasks.empty() ? "" : "." + request.tasks);
}

int verb_retry(const Invocation& invocation) {
    Arguments arguments(invocation.arguments);
    RetryJob request;
    arguments.take_toggle("--failed");  // which is what it does anyway
    request.cancelled = arguments.take_toggle("--cancelled");
    request.job = take_job(arguments);
    arguments.finish();
    return change(invocation, request, request.job, "retried");
}

int verb_hold(const Invocation& invocation) {
    return hold_or_release(invocation, false);
}

int verb_release(const Invocation& invocation) {
    return hold_or_release(invocation, true);
}

int verb_priority(const Invocation& invocation) {
    Arguments arguments(invocation.arguments);
    SetPriority request;
    request.job = take_job(arguments);
    request.priority = take_number(arguments.take_any_word("the priority"), "priority");
    arguments.finish();
    return change(invocation, request, request.job, "changed");
}

int verb_explain(const Invocation& invocation) {
    Arguments arguments(invocation.arguments);
    ExplainJob request;
    request.job = take_job(arguments);
    arguments.finish();
    Client client(find_credentials(invocation.settings));
    const auto answer = client.ask<Explanation>(request);
    if (invocation.machine_readable()) {
        auto value = to_json(answer).as_object();
        value.erase("id");
        print_json(std::move(value));
        return exit_code::ok;
    }
    std::printf("Job %s is %s%s%s\n", answer.job.c_str(),
                coloured(answer.state, state_colour(answer.state)).c_str(),
                answer.reason.empty() ? "." : ": ", answer.reason.c_str());
    if (!answer.nearest.empty()) std::printf("Nearest to running it: %s\n", answer.nearest.c_str());
    if (answer.nodes.empty()) return exit_code::ok;
    std::printf("\n");
    Table table({"NODE", "NOW", "ALONE", "REASON"});
    for (const auto& node : answer.nodes)
        table.add({{node.node},
                   {node.fits ? "yes" : "no", node.fits ? Colour::good : Colour::none},
                   {node.could ? "yes" : "no", node.could ? Colour::none : Colour::bad},
                   {or_dash(printable(node.reason, limits::text_chars))}});
    table.print();
    return exit_code::ok;
}

}  // namespace rpic
