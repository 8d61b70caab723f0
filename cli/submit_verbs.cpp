#include <cstdio>

#include "cli/submit.hpp"
#include "cli/verbs.hpp"
#include "common/errors.hpp"

namespace rpic {

namespace {

void print_many(const Invocation& invocation, const std::vector<Submitted>& answers) {
    json::array jobs;
    for (const auto& answer : answers) {
        if (invocation.format == Format::json)
            jobs.push_back(to_json(answer.job));
        else if (invocation.format == Format::jsonl)
            print_json_line(to_json(answer.job));
        else
            std::printf("%s\n", answer.job.id.c_str());
    }
    if (invocation.format != Format::json) return;
    json::object value;
    value["jobs"] = std::move(jobs);
    print_json(std::move(value));
}

}  // namespace

int verb_submit(const Invocation& invocation) {
    auto options = parse_job_options(StartVerb::submit, invocation.arguments);
    Client client(find_credentials(invocation.settings));
    if (!options.job_file.empty()) {
        print_many(invocation, submit_job_file(client, options));
        return exit_code::ok;
    }
    const auto answer = submit_job(client, std::move(options));
    if (invocation.machine_readable()) {
        json::object value;
        value["job"] = to_json(answer.job);
        print_json(std::move(value));
    } else {
        std::printf("%s\n", answer.job.id.c_str());
    }
    return exit_code::ok;
}

}  // namespace rpic
