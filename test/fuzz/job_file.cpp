#include "cli/job_file.hpp"

#include <set>

#include "test/fuzz/targets.hpp"

namespace rpic::fuzz {

namespace {

/// The name in "frames" or "any:frames".
std::string named(const std::string& after) {
    const auto colon = after.find(':');
    return colon == std::string::npos ? after : after.substr(colon + 1);
}

}  // namespace

/// Jobs come out behind those that they wait for, complete, each name once.
void fuzz_job_file(std::string_view input) {
    std::vector<FileJob> jobs;
    try {
        jobs = parse_job_file(input, "film.toml");
    } catch (const SyntaxError& error) {
        expect_one_line(error.what());
        return;
    }
    std::set<std::string> seen;
    for (const auto& job : jobs) {
        expect(!job.command.empty() && !job.command.front().empty(), "a job without command");
        for (const auto& after : job.after)
            expect(seen.contains(named(after)), "a job before what it waits for");
        expect(!job.name.empty() && seen.insert(job.name).second, "a name that is none");
    }
}

}  // namespace rpic::fuzz
