#include "cli/job_json.hpp"

#include "common/errors.hpp"
#include "common/selector.hpp"

namespace rpic {

void print_job_json(const JobAnswer& answer) {
    json::object value;
    value["job"] = to_json(answer.detail.job);
    value["tasks"] = to_json(answer.tasks);
    if (answer.next) value["next"] = *answer.next;
    print_json(std::move(value));
}

void print_job_json(Client& client, const std::string& job) {
    GetJob request;
    request.job = job;
    print_job_json(across_restarts(client, [&] { return get_job(client, request); }));
}

void check_selector(const std::string& word) {
    try {
        NumberSelector::parse(word);
    } catch (const SyntaxError& error) {
        throw UsageError(error.what());
    }
}

std::string take_job_selector(Arguments& arguments) {
    std::string selector;
    while (const auto word = arguments.take_optional_word()) {
        check_selector(*word);
        selector += (selector.empty() ? "" : ",") + *word;
    }
    if (selector.empty()) arguments.finish();
    if (selector.empty())
        throw UsageError("which job? expected its id, several (1,3,5-8), last or all");
    check_selector(selector);
    return selector;
}

}  // namespace rpic
