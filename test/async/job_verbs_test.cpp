#include <catch2/catch.hpp>
#include <fstream>

#include "cli/exit_codes.hpp"
#include "cli/verbs.hpp"
#include "common/errors.hpp"
#include "test/async/fake_master.hpp"
#include "test/temporary_folder.hpp"

using namespace rpic;
using test::FakeMaster;

namespace {

/// What a verb writes to stdout, and its exit code.
struct Outcome {
    int code = 0;
    std::string out;
};

class VerbTest {
  public:
    std::string write(const std::string& name, const std::string& text) {
        const std::string path = folder_.path() / name;
        std::ofstream(path) << text;
        return path;
    }

    Outcome run(FakeMaster& master, int (*verb)(const Invocation&), std::vector<std::string> words,
                Format format = Format::table) {
        const auto credentials = master.credentials();
        Invocation invocation;
        invocation.settings.set("master", {"127.0.0.1:" + std::to_string(credentials.master.port)});
        invocation.settings.set("key-file", {write("key", credentials.key + "\n")});
        invocation.settings.set("state-dir", {folder_.path()});
        invocation.format = format;
        invocation.arguments = std::move(words);
        const std::string path = folder_.path() / "out";
        std::fflush(stdout);
        const int terminal = ::dup(1);
        std::FILE* file = std::fopen(path.c_str(), "w");
        ::dup2(::fileno(file), 1);
        std::fclose(file);
        Outcome outcome;
        std::exception_ptr failure;
        try {
            outcome.code = verb(invocation);
        } catch (...) {
            failure = std::current_exception();
        }
        std::fflush(stdout);
        ::dup2(terminal, 1);
        ::close(terminal);
        if (failure) std::rethrow_exception(failure);
        std::ifstream in(path);
        outcome.out.assign(std::istreambuf_iterator<char>(in), {});
        return outcome;
    }

  private:
    test::TemporaryFolder folder_;
};

json::object parsed(const Outcome& outcome) {
    return json::parse(outcome.out).as_object();
}

}  // namespace

TEST_CASE("submit prints the id alone, or the job", "[cli]") {
    FakeMaster master;
    VerbTest test;
    CHECK(test.run(master, verb_submit, {"--", "true"}).out == "7\n");
    const auto value = parsed(test.run(master, verb_submit, {"--", "true"}, Format::json));
    CHECK(value.at("version") == 1);
    CHECK(value.at("job").at("id") == "7");
    master.stop();
    REQUIRE(master.submitted.size() == 2);
    CHECK(master.submitted[0].idempotency_key != master.submitted[1].idempotency_key);
}

TEST_CASE("a job file becomes jobs that wait for one another", "[cli]") {
    FakeMaster master;
    VerbTest test;
    const auto file = test.write("jobs.toml",
                                 "[[job]]\nname = \"film\"\ncommand = [\"film\"]\n"
                                 "after = [\"any:frames\"]\n"
                                 "[[job]]\nname = \"frames\"\ncommand = [\"frames\"]\n");
    CHECK(test.run(master, verb_submit, {"--file", file}).out == "7\n7\n");
    master.stop();
    REQUIRE(master.submitted.size() == 2);
    CHECK(master.submitted[0].name == "frames");
    CHECK(master.submitted[1].name == "film");
    CHECK(master.submitted[1].after == std::vector<std::string>{"any:7"});
}

TEST_CASE("wait exits with the number of failed tasks", "[cli]") {
    FakeMaster master;
    for (int i = 0; i < 5; ++i) master.add_task(i, "", i < 2 ? 1 : 0);
    VerbTest test;
    const auto outcome = test.run(master, verb_wait, {"7"});
    CHECK(outcome.code == 2);
    CHECK(outcome.out.empty());
    CHECK_THROWS_AS(test.run(master, verb_wait, {"seven"}), UsageError);
}

TEST_CASE("job and jobs print the fields of the contract", "[cli]") {
    FakeMaster master;
    master.add_task(0, "");
    master.add_task(1, "", 1);
    VerbTest test;
    const auto job = parsed(test.run(master, verb_job, {"7"}, Format::json));
    CHECK(job.at("version") == 1);
    CHECK(job.at("job").at("tasks").at("failed") == 1);
    const auto& task = job.at("tasks").as_array().at(0).as_object();
    for (const char* name : {"index", "state", "node", "attempt", "exit_code", "signal", "reason",
                             "started_at", "duration_seconds", "max_rss_bytes"})
        CHECK(task.contains(name));
    CHECK(task.at("signal").is_null());
    const auto failed =
        parsed(test.run(master, verb_job, {"7", "--state", "failed"}, Format::json));
    CHECK(failed.at("tasks").as_array().size() == 1);
    const auto jobs = parsed(test.run(master, verb_jobs, {}, Format::json));
    CHECK(jobs.at("jobs").as_array().at(0).at("state") == "running");
    const auto table = test.run(master, verb_job, {"7"}).out;
    CHECK(table.find("TASK") != std::string::npos);
}

TEST_CASE("logs prints outputs in the order of the tasks, as text and as JSON", "[cli]") {
    FakeMaster master;
    for (const int i : {2, 0, 1}) master.add_task(i, "out" + std::to_string(i) + "\n");
    append_output(master.tasks[1].output, OutputStream::err, "bad \xff\n");
    VerbTest test;
    const bool follow = GENERATE(false, true);
    if (follow) {
        const auto outcome = test.run(master, verb_logs, {"-f", "7"}, Format::jsonl);
        CHECK(std::count(outcome.out.begin(), outcome.out.end(), '\n') == 4);
    } else {
        CHECK(test.run(master, verb_logs, {"7"}).out == "out0\nout1\nout2\n");
        CHECK(test.run(master, verb_logs, {"7.2"}).out == "out2\n");
        const auto value = parsed(test.run(master, verb_logs, {"7"}, Format::json));
        const auto& lines = value.at("output").as_array();
        REQUIRE(lines.size() == 4);
        CHECK(lines.at(0).at("text") == "out0\n");
        CHECK(lines.at(2).at("task") == 1);
        CHECK(lines.at(2).at("stream") == "stderr");
        CHECK(lines.at(2).at("text") == "bad \xEF\xBF\xBD\n");
        CHECK_THROWS_AS(test.run(master, verb_logs, {"7.9"}), RequestFailedError);
    }
}

TEST_CASE("map --resume takes up its own earlier job and retries what failed", "[cli]") {
    FakeMaster master;
    master.add_task(0, "a\n");
    master.add_task(1, "b\n", 1);
    VerbTest test;
    const std::vector<std::string> words = {"work {}", ":::", "a", "b"};
    const auto first = test.run(master, verb_map, words);
    CHECK(first.code == 1);
    CHECK(first.out == "a\nb\n");
    auto again = words;
    again.insert(again.begin(), "--resume");
    CHECK(test.run(master, verb_map, again).code == 1);
    auto other = again;
    other.back() = "c";
    CHECK(test.run(master, verb_map, other).code == 1);
    master.stop();
    REQUIRE(master.submitted.size() == 2);
    CHECK(master.submitted[0].items != master.submitted[1].items);
    REQUIRE(master.retried.size() == 1);
    CHECK(master.retried[0].job == "7");
    CHECK(master.retried[0].cancelled);
}

TEST_CASE("a map without items does nothing", "[cli]") {
    FakeMaster master;
    VerbTest test;
    CHECK(test.run(master, verb_map, {"echo {}", ":::"}).code == 0);
    CHECK(test.run(master, verb_map, {"echo {}", "--each-line", "/dev/null"}).code == 0);
    master.stop();
    CHECK(master.submitted.empty());
}

TEST_CASE("a million lines are sent in seconds", "[cli]") {
    FakeMaster master;
    VerbTest test;
    std::string lines;
    for (int i = 0; i < 1'000'000; ++i) lines += "frames/frame-" + std::to_string(i) + ".exr\n";
    const auto file = test.write("list", lines);
    const auto began_at = Clock::now();
    const auto outcome = test.run(master, verb_submit, {"--each-line", file, "--", "render", "{}"});
    const auto seconds = to_seconds(Clock::now() - began_at);
    CHECK(outcome.out == "7\n");
    CHECK(seconds < 60);
    master.stop();
    REQUIRE(master.blobs.size() == 1);
    const auto& blob = master.blobs.begin()->second;
    CHECK(std::count(blob.begin(), blob.end(), '\0') == 1'000'000);
}

TEST_CASE("exec runs on the chosen workers and folds what they say", "[cli]") {
    FakeMaster master([](FakeMaster&, Connection& connection, const FromClient& message) {
        const auto* list = std::get_if<ListNodes>(&message);
        if (list == nullptr) return false;
        NodeList answer;
        answer.id = list->id;
        for (const char* name : {"pi0", "pi1", "pi2", "pi3"}) {
            NodeView node;
            node.name = name;
            node.id = std::string("id-") + name;
            node.role = "worker";
            node.state = node.name == "pi3" ? "lost" : "online";
            answer.nodes.push_back(node);
        }
        connection.send(answer);
        return true;
    });
    for (const int i : {0, 1, 2}) master.add_task(i, i == 1 ? "other" : "same\n", i == 1 ? 9 : 0);
    VerbTest test;
    const auto outcome = test.run(master, verb_exec, {"--", "uptime"});
    CHECK(outcome.code == 9);
    CHECK(outcome.out == "pi[0,2] (2):\nsame\npi1 (1): exit code 9\nother\n");
    const auto value = parsed(test.run(master, verb_exec, {"-x", "pi0", "uptime"}, Format::json));
    CHECK(value.at("nodes").as_array().at(1).at("stdout") == "other");
    CHECK(value.at("nodes").as_array().at(1).at("exit_code") == 9);
    CHECK_THROWS_AS(test.run(master, verb_exec, {"-w", "pi3", "uptime"}), RequestFailedError);
    CHECK_THROWS_AS(test.run(master, verb_exec, {"-w", "pi9", "uptime"}), RequestFailedError);
    master.stop();
    REQUIRE(master.submitted.size() == 2);
    CHECK(master.submitted[0].on_each == std::vector<std::string>{"id-pi0", "id-pi1", "id-pi2"});
    CHECK(master.submitted[1].on_each == std::vector<std::string>{"id-pi1", "id-pi2"});
}
