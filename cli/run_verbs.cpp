#include <cstdio>

#include "cli/download.hpp"
#include "cli/exit_codes.hpp"
#include "cli/gather.hpp"
#include "cli/job_json.hpp"
#include "cli/stay.hpp"
#include "cli/submit.hpp"
#include "cli/task_lines.hpp"
#include "cli/verbs.hpp"
#include "common/errors.hpp"

namespace rpic {

namespace {

/// The files that the job's only task made.
void bring_home(Client& client, const std::string& job, const std::string& folder,
                const Console& console) {
    GetJob request;
    request.job = job;
    request.limit = 1;
    const auto answer = across_restarts(client, [&] { return get_job(client, request); });
    if (answer.tasks.empty() || answer.tasks.front().files.empty()) return;
    const auto brought = across_restarts(
        client, [&] { return download_manifest(client, answer.tasks.front().files, folder); });
    for (const auto& path : brought.replaced) console.say(path + " was replaced");
}

/// Stays with a job, whatever its size; gives the exit code of its task, or the worst of many.
/// `folder`: where its files go; empty if it brings none.
int stay_to_the_end(const Invocation& invocation, Client& client, const JobView& job,
                    const std::string& folder) {
    const Console console;
    const bool many = tasks_in_all(job) != 1;
    const bool quiet = invocation.machine_readable();
    const bool as_lines = invocation.format == Format::jsonl;
    TaskLines lines;
    const int code = stay_with(client, job.id, console, [&] {
        if (!many && !quiet) {
            const int own = stay_with_task(client, job.id, console);
            if (!folder.empty()) bring_home(client, job.id, folder, console);
            return own;
        }
        GatherOptions options;
        options.outputs = !quiet;
        options.folder = folder;
        if (as_lines) {
            lines.take_over(options);
            lines.print(job);
        }
        const auto result = Gatherer(client, job.id, console, options).run();
        const auto summary = failure_summary(result);
        if (as_lines)
            lines.print(result.job);
        else if (many && !summary.empty())
            console.say(summary);
        return result.worst_code;
    });
    if (invocation.format == Format::json) print_job_json(client, job.id);
    return code;
}

}  // namespace

int verb_run(const Invocation& invocation) {
    auto options = parse_job_options(StartVerb::run, invocation.arguments);
    const auto folder = options.spec.out.empty() ? "" : options.to;
    Client client(find_credentials(invocation.settings));
    const auto answer = submit_job(client, std::move(options));
    return stay_to_the_end(invocation, client, answer.job, folder);
}

int verb_attach(const Invocation& invocation) {
    Arguments arguments(invocation.arguments);
    const auto id = take_job(arguments);
    arguments.finish();
    Client client(find_credentials(invocation.settings));
    GetJob request;
    request.job = id;
    request.limit = 1;
    const auto answer = get_job(client, request);
    const auto* folder = answer.detail.spec.out.empty() ? "" : ".";
    return stay_to_the_end(invocation, client, answer.detail.job, folder);
}

int verb_wait(const Invocation& invocation) {
    Arguments arguments(invocation.arguments);
    const auto jobs = take_job_selector(arguments);
    arguments.finish();
    Client client(find_credentials(invocation.settings));
    std::map<std::int64_t, JobView> last;  // by number, for the order of the answer
    JobProgress progress;
    ProgressLine line;
    const auto show = [&] {
        JobView sum;
        for (const auto& [id, job] : last) {
            for (const auto& [state, count] : job.tasks) sum.tasks[state] += count;
            sum.nodes = std::max(sum.nodes, job.nodes);
        }
        line.show(progress.text(sum, Clock::now()));
    };
    JobWatcher watcher;
    watcher.on_change = [&](const std::vector<JobView>& pictures) {
        for (const auto& job : pictures) last[job_number(job.id)] = job;
        show();
    };
    watcher.on_tick = show;
    watch_jobs(client, jobs, watcher);
    line.clear();
    std::int64_t failed = 0;
    std::int64_t cancelled = 0;
    for (const auto& [id, job] : last) {
        failed += tasks_in(job, "failed");
        cancelled += tasks_in(job, "cancelled");
    }
    if (invocation.machine_readable()) {
        json::array list;
        for (const auto& [id, job] : last) list.push_back(to_json(job));
        json::object value;
        value["jobs"] = std::move(list);
        print_json(std::move(value));
    }
    return exit_code::of_tasks(failed, cancelled);
}

}  // namespace rpic
