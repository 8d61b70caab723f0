#include "cli/job_json.hpp"

#include "common/errors.hpp"
#include "common/limits.hpp"
#include "common/selector.hpp"
#include "common/text.hpp"

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

void check_job(const std::string& word) {
    check_selector(word);
    const auto chosen = NumberSelector::parse(word);
    const bool one = chosen.single() >= 0 || (chosen.last() && chosen.ranges().empty());
    if (!one)
        throw UsageError("\"" + printable(word, limits::log_text_chars) +
                         "\" is not one job: this verb takes one number, or \"last\"");
}

std::string take_job(Arguments& arguments) {
    auto job = arguments.take_word("the id of the job");
    check_job(job);
    return job;
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
