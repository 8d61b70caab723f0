#include <cstdio>

#include "cli/exit_codes.hpp"
#include "cli/gather.hpp"
#include "cli/job_json.hpp"
#include "cli/stay.hpp"
#include "cli/submit.hpp"
#include "cli/task_lines.hpp"
#include "cli/verbs.hpp"
#include "common/errors.hpp"
#include "common/keys.hpp"
#include "common/sha256.hpp"

namespace rpic {

namespace {

constexpr int earlier_jobs_looked_at = 50;

/// What a map is known by, so that --resume finds it again: its command, items and options, but not
/// the contents of the files that travel along, which somebody may have repaired meanwhile.
std::string map_key(const JobOptions& options) {
    JobSpec spec = options.spec;
    spec.in.clear();
    spec.in_arch.clear();
    spec.stdin_blob.clear();
    std::string text = json::serialize(to_json(spec)) + json::serialize(to_json(options.in)) +
                       json::serialize(to_json(options.in_arch)) + options.stdin_file;
    return "map-" + sha256_hex(text).substr(0, 32);
}

/// The newest job that was made by the same map.
std::optional<JobAnswer> find_earlier(Client& client, const std::string& key,
                                      const JobSpec& wanted) {
    const auto jobs = client.ask_all(ListJobs{}, &JobList::jobs);
    int looked_at = 0;
    for (auto job = jobs.rbegin(); job != jobs.rend(); ++job) {
        if (job->command != wanted.command || job->array != wanted.array) continue;
        if (++looked_at > earlier_jobs_looked_at) break;
        GetJob request;
        request.job = job->id;
        request.limit = 1;
        auto answer = get_job(client, request);
        if (answer.detail.spec.idempotency_key.starts_with(key + "-")) return answer;
    }
    return std::nullopt;
}

/// Takes up an earlier job again.
JobView resume(Client& client, const JobAnswer& earlier, const JobSpec& wanted,
               const Console& console) {
    const auto& job = earlier.detail.job;
    const auto& spec = earlier.detail.spec;
    const auto again = tasks_in(job, "failed") + tasks_in(job, "cancelled");
    console.say("going on with job " + job.id + ": " + std::to_string(tasks_in(job, "done")) +
                " of " + std::to_string(tasks_in_all(job)) + " tasks are done" +
                (again > 0 ? ", " + std::to_string(again) + " are tried again" : ""));
    if (spec.in != wanted.in || spec.in_arch != wanted.in_arch ||
        spec.stdin_blob != wanted.stdin_blob)
        console.say(
            "the files that travel along have changed since: this job has the earlier "
            "ones; without --resume all of it is run with the new ones");
    if (again == 0) return job;
    RetryJob request;
    request.job = job.id;
    request.cancelled = true;
    client.ask<Done>(request);
    return job;
}

int gather_map(const Invocation& invocation, Client& client, const JobView& job,
               GatherOptions options, const Console& console) {
    TaskLines lines;
    const bool as_lines = invocation.format == Format::jsonl;
    if (as_lines) lines.take_over(options);
    const int code = stay_with(client, job.id, console, [&] {
        if (as_lines) lines.print(job);
        const auto result = Gatherer(client, job.id, console, options).run();
        const auto summary = failure_summary(result);
        if (as_lines)
            lines.print(result.job);
        else if (!summary.empty())
            console.say(summary);
        return exit_code::of_tasks(result.failed, result.cancelled);
    });
    if (invocation.format == Format::json) print_job_json(client, job.id);
    return code;
}

}  // namespace

int verb_map(const Invocation& invocation) {
    auto options = parse_job_options(StartVerb::map, invocation.arguments);
    const Console console;
    Client client(find_credentials(invocation.settings));
    if (options.item_list()) {
        std::int64_t count = 0;
        options.spec.items = upload_items(client, options, count);
        if (count == 0) {
            console.say("there are no items: nothing to do");
            return exit_code::ok;
        }
    }
    const auto key = map_key(options);
    upload_files(client, options);
    GatherOptions gather;
    gather.outputs = !invocation.machine_readable();
    gather.keep_order = options.keep_order;
    if (!options.spec.out.empty()) gather.folder = options.to;
    if (options.resume) {
        if (const auto earlier = find_earlier(client, key, options.spec)) {
            const auto job = resume(client, *earlier, options.spec, console);
            return gather_map(invocation, client, job, gather, console);
        }
        console.say("there is no earlier map like this: starting a new one");
    }
    if (options.spec.idempotency_key.empty())
        options.spec.idempotency_key = key + "-" + random_hex(8);
    const auto answer = submit_spec(client, std::move(options.spec));
    return gather_map(invocation, client, answer.job, gather, console);
}

}  // namespace rpic
