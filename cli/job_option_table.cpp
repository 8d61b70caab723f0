#include "cli/job_option_table.hpp"

#include <charconv>
#include <cmath>
#include <cstdlib>
#include <optional>

#include "common/array_range.hpp"
#include "common/errors.hpp"
#include "common/glob.hpp"
#include "common/limits.hpp"
#include "common/text.hpp"
#include "common/where.hpp"

namespace rpic {

namespace {

constexpr unsigned bit(StartVerb verb) {
    return 1U << static_cast<unsigned>(verb);
}
constexpr unsigned submit = bit(StartVerb::submit);
constexpr unsigned run = bit(StartVerb::run);
constexpr unsigned map = bit(StartVerb::map);
constexpr unsigned exec = bit(StartVerb::exec);
constexpr unsigned queued = submit | run | map;
constexpr unsigned every = queued | exec;

[[noreturn]] void bad(const std::string& value, const char* option, const std::string& expected) {
    throw UsageError("bad value \"" + printable(value, limits::log_text_chars) + "\" for " +
                     option + ": expected " + expected);
}

std::optional<std::int64_t> parse_number(const std::string& text) {
    std::int64_t number = 0;
    const auto end = text.data() + text.size();
    const auto [rest, error] = std::from_chars(text.data(), end, number);
    if (error != std::errc() || rest != end) return std::nullopt;
    return number;
}

std::int64_t whole_number(const std::string& text, const char* option, std::int64_t least,
                          std::int64_t most) {
    const auto number = parse_number(text);
    if (!number || *number < least || *number > most)
        bad(text, option,
            "a whole number from " + std::to_string(least) + " to " + std::to_string(most));
    return *number;
}

double positive_seconds(const std::string& text, const char* option) {
    const auto duration = parse_duration(text);
    if (!duration || *duration <= Duration::zero())
        bad(text, option, "a duration such as 90, 10m or 2h");
    return to_seconds(*duration);
}

/// KEY=VALUE, both as written.
std::pair<std::string, std::string> pair_of(const std::string& text, const char* option,
                                            const char* expected) {
    const auto equals = text.find('=');
    if (equals == std::string::npos || equals == 0) bad(text, option, expected);
    return {text.substr(0, equals), text.substr(equals + 1)};
}

void set_array(JobOptions& options, const std::string& value) {
    try {
        if (!value.empty()) ArrayRange::parse(value);
    } catch (const SyntaxError& error) {
        throw UsageError(std::string("bad value for --array: ") + error.what());
    }
    options.spec.array = value;
}

void set_where(JobOptions& options, const std::string& value) {
    try {
        Where::parse(value);
    } catch (const SyntaxError& error) {
        throw UsageError(std::string("bad value for --where: ") + error.what());
    }
    options.spec.where = value;
}

void set_cpus(JobOptions& options, const std::string& value) {
    double number = 0;
    const auto end = value.data() + value.size();
    const auto [rest, error] = std::from_chars(value.data(), end, number);
    const bool good = error == std::errc() && rest == end && std::isfinite(number) && number >= 0 &&
                      number <= static_cast<double>(limits::job_cpus);
    if (!good) bad(value, "--cpus", "a number of CPUs such as 1, 0.5 or 0");
    options.spec.cpus = number;
}

void set_memory(JobOptions& options, const std::string& value) {
    const auto size = parse_size(value);
    if (!size) bad(value, "--mem", "a size such as 512M or 2G");
    options.spec.memory_bytes = *size;
}

void add_resource(JobOptions& options, const std::string& value) {
    const char* form = "NAME=NUMBER such as gpu=1";
    const auto [name, number] = pair_of(value, "--resource", form);
    if (node_name(name) != name) bad(value, "--resource", form);
    options.spec.resources[name] = whole_number(number, "--resource", 1, 1'000'000'000'000);
}

void add_after(JobOptions& options, const std::string& value) {
    for (const auto& part : split(value, ',')) {
        const auto colon = part.find(':');
        const auto kind = part.substr(0, colon == std::string::npos ? 0 : colon);
        const auto id = part.substr(colon == std::string::npos ? 0 : colon + 1);
        const auto number = parse_number(id);
        if ((!kind.empty() && kind != "ok" && kind != "any") || !number || *number < 1)
            bad(value, "--after", "the id of a job, ok:ID or any:ID");
        options.spec.after.push_back(part);
    }
    if (options.spec.after.size() > limits::job_dependencies)
        throw UsageError("a job can wait for " + std::to_string(limits::job_dependencies) +
                         " others at most (--after)");
}

void add_in(JobOptions& options, const std::string& value) {
    if (value.empty()) bad(value, "--in", "the path of a file or folder");
    options.in.push_back(value);
}

void add_in_arch(JobOptions& options, const std::string& value) {
    const char* form = "ARCH=PATH such as arm64=build/render";
    const auto [arch, path] = pair_of(value, "--in-arch", form);
    if (path.empty()) bad(value, "--in-arch", form);
    options.in_arch[arch] = path;
}

void add_out(JobOptions& options, const std::string& value) {
    if (const auto problem = glob_problem(value); !problem.empty())
        throw UsageError("bad value \"" + printable(value, limits::log_text_chars) +
                         "\" for --out: it " + problem);
    options.spec.out.push_back(value);
}

/// NAME alone takes the value that it has here.
void add_env(JobOptions& options, const std::string& value) {
    const auto equals = value.find('=');
    const auto name = value.substr(0, equals);
    if (name.empty()) bad(value, "--env", "NAME=VALUE, or NAME for the value that it has here");
    if (equals != std::string::npos) {
        options.spec.env[name] = value.substr(equals + 1);
        return;
    }
    const char* own = std::getenv(name.c_str());
    if (own == nullptr)
        throw UsageError("--env " + printable(name, limits::log_text_chars) +
                         ": there is no such variable here; write NAME=VALUE");
    options.spec.env[name] = own;
}

void set_on_disconnect(JobOptions& options, const std::string& value) {
    if (value != "keep" && value != "stop") bad(value, "--on-disconnect", "keep or stop");
    options.spec.on_disconnect = value;
}

void set_name(JobOptions& options, const std::string& value) {
    if (value.size() > limits::job_name_bytes || printable(value, limits::job_name_bytes) != value)
        bad(value, "--name",
            "at most " + std::to_string(limits::job_name_bytes) +
                " bytes of UTF-8 without control characters");
    options.spec.name = value;
}

void set_idempotency_key(JobOptions& options, const std::string& value) {
    if (value.empty() || value.size() > limits::text_chars)
        bad(value, "--idempotency-key",
            "1 to " + std::to_string(limits::text_chars) + " characters");
    options.spec.idempotency_key = value;
}

void set_each_line(JobOptions& options, const std::string& value) {
    if (value.empty()) bad(value, "--each-line", "a file, or - for stdin");
    options.each_line = value;
}

void set_to(JobOptions& options, const std::string& value) {
    if (value.empty()) bad(value, "--to", "a folder");
    options.to = value;
}

using Options = JobOptions;
using Text = std::string;

}  // namespace

const std::vector<JobOption>& job_option_table() {
    static const std::vector<JobOption> table = {
        {"--name", "NAME", "what the job is called", every, set_name},
        {"--array", "FIRST-LAST[:STEP][%LIMIT]", "a task for each number, LIMIT at once", queued,
         set_array},
        {"--each-line", "FILE", "a task for each line of FILE (-: stdin)", queued, set_each_line},
        {"--limit", "N", "so many tasks of --each-line or ::: at once", queued,
         [](Options& o, const Text& value) {
             o.spec.item_limit = whole_number(value, "--limit", 1, limits::tasks_per_job);
         }},
        {"--cpus", "N", "CPUs of a task (1; for exec 0: it need not wait)", every, set_cpus},
        {"--mem", "SIZE", "memory of a task; more is not given", every, set_memory},
        {"--resource", "NAME=N", "of a named resource of nodes; repeats", every, add_resource},
        {"--where", "EXPRESSION", "on which nodes, such as 'arch==arm64 && ram>=2G'", queued,
         set_where},
        {"--priority", "N", "higher ones start first (0)", every,
         [](Options& o, const Text& value) {
             o.spec.priority = whole_number(value, "--priority", -1'000'000, 1'000'000);
         }},
        {"--time-limit", "T", "a task that runs for longer is ended", every,
         [](Options& o, const Text& value) {
             o.spec.time_limit_seconds = positive_seconds(value, "--time-limit");
         }},
        {"--retries", "N", "try a failed task again so often (0)", every,
         [](Options& o, const Text& value) {
             o.spec.retries = whole_number(value, "--retries", 0, limits::job_retries);
         }},
        {"--max-fails", "N", "when more tasks failed, cancel the rest", queued,
         [](Options& o, const Text& value) {
             o.spec.max_fails = whole_number(value, "--max-fails", 0, limits::tasks_per_job);
         }},
        {"--after", "JOB", "wait until it is done (any:JOB: has ended); repeats", queued,
         add_after},
        {"--in", "PATH", "a file or folder that travels along; repeats", every, add_in},
        {"--in-arch", "ARCH=PATH", "for nodes of that architecture; more may follow", every,
         add_in_arch},
        {"--out", "GLOB", "files that come back; repeats", every, add_out},
        {"--env", "NAME=VALUE", "a variable of the task's environment; repeats", every, add_env},
        {"--stdin", "FILE", "what the task reads (-: stdin; `run --stdin` alone: the same)", every,
         [](Options& o, const Text& value) { o.stdin_file = value; }},
        {"--cwd", "FOLDER", "where the task starts (a private folder of its own)", every,
         [](Options& o, const Text& value) { o.spec.cwd = value; }},
        {"--idempotency-key", "KEY", "a second submit with it gives the same job", queued,
         set_idempotency_key},
        {"--on-disconnect", "keep|stop", "what a task does when its node is cut off (keep)", every,
         set_on_disconnect},
        {"--lost-after", "T", "when the task of a node that is away runs elsewhere", every,
         [](Options& o, const Text& value) {
             o.spec.lost_after_seconds = positive_seconds(value, "--lost-after");
         }},
        {"--notify", "COMMAND", "a line for sh, run at the end; $NOTIFY_STATE says which", queued,
         [](Options& o, const Text& value) { o.spec.notify = value; }},
        {"--hold", "", "do not start before \"rpicluster release\"", submit,
         [](Options& o, const Text&) { o.spec.held = true; }},
        {"--file", "FILE", "a file of jobs that depend on one another (TOML or JSON)", submit,
         [](Options& o, const Text& value) { o.job_file = value; }},
        {"--to", "FOLDER", "where the files of --out go (this folder)", run | map, set_to},
        {"--keep-order", "", "print the outputs in the order of the items", map,
         [](Options& o, const Text&) { o.keep_order = true; }},
        {"--resume", "", "go on with the same map of an earlier time", map,
         [](Options& o, const Text&) { o.resume = true; }},
        {"-w", "NODES", "on these nodes alone: pi[1-4],web", exec,
         [](Options& o, const Text& value) { o.nodes = value; }},
        {"-x", "NODES", "not on these", exec,
         [](Options& o, const Text& value) { o.without = value; }},
    };
    return table;
}

const JobOption* find_job_option(StartVerb verb, std::string_view name) {
    for (const auto& option : job_option_table())
        if (option.name == name && (option.verbs & bit(verb)) != 0) return &option;
    return nullptr;
}

}  // namespace rpic
