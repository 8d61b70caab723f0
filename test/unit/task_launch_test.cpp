#include <catch2/catch.hpp>

#include "common/codec.hpp"
#include "common/limits.hpp"
#include "slave/report_pages.hpp"
#include "slave/task_launch.hpp"

using namespace rpic;

namespace {

NodeAttempts::Attempt attempt_of(NodeJob job, std::string item = {}) {
    NodeAttempts::Attempt attempt;
    attempt.key = {7, 3, 2};
    attempt.job = std::make_shared<const NodeJob>(std::move(job));
    attempt.item = std::move(item);
    return attempt;
}

TaskSurroundings surroundings() {
    TaskSurroundings result;
    result.node = "pi";
    result.user.name = "someone";
    result.user.uid = 12;
    result.user.gid = 13;
    result.user.groups = {14};
    return result;
}

struct Page {
    std::size_t reports;
    std::size_t raw;
    bool operator==(const Page&) const = default;
};

}  // namespace

TEST_CASE("the environment of a task is ours, the job's and RPIC_*, in that order", "[launch]") {
    NodeJob job;
    job.env = {{"A", "1"}, {"PATH", "/own"}, {"RPIC_TASK", "9"}, {"", "x"}, {"B=C", "x"}};
    auto env = task_environment(attempt_of(job, "it"), "/w", surroundings());
    const std::map<std::string, std::string> expected = {
        {"A", "1"},          {"HOME", "/w"},      {"LANG", "C.UTF-8"}, {"LOGNAME", "someone"},
        {"PATH", "/own"},    {"RPIC_CPUS", "1"},  {"RPIC_ITEM", "it"}, {"RPIC_ATTEMPT", "2"},
        {"RPIC_JOB", "7"},   {"RPIC_NODE", "pi"}, {"RPIC_TASK", "3"},  {"SHELL", "/bin/sh"},
        {"USER", "someone"},
    };
    CHECK(env == expected);
    auto near = surroundings();
    near.private_temporary = true;
    CHECK(task_environment(attempt_of(job), "/w", near)["TMPDIR"] == "/w");
}

TEST_CASE("what the runner is given", "[launch]") {
    NodeJob job;
    job.command = {"find", "{}", "-name", "x"};
    job.memory_bytes = 5;
    job.time_limit_seconds = 6;
    job.stop_after_seconds = 7;
    job.out = {"*.png"};
    job.cpus = 1.5;
    job.resources["camera"] = 1;
    auto spec = make_launch_spec(attempt_of(job), "/w", "/in", surroundings());
    CHECK(spec.command == job.command);
    CHECK(spec.folder == "/w");
    CHECK(spec.cwd == "/w");
    CHECK(spec.stdin_file == "/in");
    CHECK(spec.uid == 12);
    CHECK(spec.gid == 13);
    CHECK(spec.groups == std::vector<std::int64_t>{14});
    CHECK(spec.memory_bytes == 5);
    CHECK(spec.time_limit_seconds == 6);
    CHECK(spec.stop_after_seconds == 7);
    // The next slave accounts for it and collects its files.
    const auto known = job_in_context(spec.context);
    CHECK(known->cpus == 1.5);
    CHECK(known->memory_bytes == 5);
    CHECK(known->resources == job.resources);
    CHECK(known->out == job.out);
    CHECK(known->stop_after_seconds == 7);
    CHECK(known->command.empty());
    job.cwd = "sub/folder";
    CHECK(make_launch_spec(attempt_of(job), "/w", "", surroundings()).cwd == "/w/sub/folder");
    job.cwd = "/else";
    job.items = true;
    spec = make_launch_spec(attempt_of(job, "a b"), "/w", "", surroundings());
    CHECK(spec.cwd == "/else");
    CHECK(spec.command == std::vector<std::string>{"find", "a b", "-name", "x"});
}

TEST_CASE("a context that makes no sense is a job of one cpu", "[launch]") {
    for (const auto* text : {"", "{", "[]", "{\"cpus\":\"many\"}", "17"}) {
        const auto job = job_in_context(text);
        CHECK(job->cpus == 1);
        CHECK(job->out.empty());
    }
}

TEST_CASE("reports are packed into frames", "[launch]") {
    std::vector<Page> pages;
    const auto send = [&](const AttemptsEnded& page, std::string_view raw) {
        std::int64_t sum = 0;
        for (const auto& report : page.reports) sum += report.inline_bytes;
        CHECK(sum == static_cast<std::int64_t>(raw.size()));
        CHECK(encode(page).size() < limits::control_frame_bytes);
        pages.push_back({page.reports.size(), raw.size()});
    };
    AttemptReport report;
    SECTION("nothing") {
        ReportPages(send).flush();
        CHECK(pages.empty());
    }
    SECTION("few") {
        ReportPages packer(send);
        packer.add(report, "abc");
        packer.add(report, "");
        packer.flush();
        packer.flush();
        CHECK(pages == std::vector<Page>{{2, 3}});
    }
    SECTION("large outputs") {
        ReportPages packer(send);
        const std::string output(limits::inline_output_bytes, 'x');
        for (int count = 0; count < 5; ++count) packer.add(report, output);
        packer.flush();
        CHECK(pages == std::vector<Page>{{4, 4 * output.size()}, {1, output.size()}});
    }
    SECTION("many") {
        ReportPages packer(send);
        report.reason = std::string(limits::text_chars, '"') + "\xff";
        for (int count = 0; count < 1000; ++count) packer.add(report, "");
        packer.flush();
        std::size_t sum = 0;
        for (const auto& page : pages) sum += page.reports;
        CHECK(sum == 1000);
        CHECK(pages.size() > 1);
    }
}
