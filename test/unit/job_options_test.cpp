#include "cli/job_options.hpp"

#include <catch2/catch.hpp>

#include "common/errors.hpp"

using namespace rpic;
using Words = std::vector<std::string>;

namespace {

std::string complaint(StartVerb verb, const Words& words) {
    try {
        parse_job_options(verb, words);
    } catch (const UsageError& error) {
        return error.what();
    }
    return {};
}

JobOptions submit(const Words& words) {
    return parse_job_options(StartVerb::submit, words);
}

}  // namespace

TEST_CASE("every option of the contract reaches the job", "[cli]") {
    const auto options = submit({"--name",      "film",
                                 "--array",     "1-9:2%3",
                                 "--cpus=2",    "--mem",
                                 "1.5G",        "--resource",
                                 "gpu=1",       "--resource",
                                 "cam=2",       "--where",
                                 "arch==arm64", "--priority",
                                 "-5",          "--time-limit",
                                 "2h",          "--retries",
                                 "3",           "--max-fails",
                                 "0",           "--after",
                                 "4,any:5",     "--in",
                                 "a",           "--in",
                                 "b/",          "--in-arch",
                                 "arm64=c",     "--out",
                                 "*.png",       "--env",
                                 "A=b=c",       "--stdin",
                                 "data",        "--cwd",
                                 "/srv",        "--idempotency-key",
                                 "k",           "--on-disconnect",
                                 "stop",        "--lost-after",
                                 "90",          "--notify",
                                 "mail x",      "--hold",
                                 "--",          "render",
                                 "--fast"});
    const auto& spec = options.spec;
    CHECK(spec.name == "film");
    CHECK(spec.array == "1-9:2%3");
    CHECK(spec.cpus == 2);
    CHECK(spec.memory_bytes == 1536LL * 1024 * 1024);
    CHECK(spec.resources == std::map<std::string, std::int64_t>{{"cam", 2}, {"gpu", 1}});
    CHECK(spec.where == "arch==arm64");
    CHECK(spec.priority == -5);
    CHECK(spec.time_limit_seconds == 7200);
    CHECK(spec.retries == 3);
    CHECK(spec.max_fails == 0);
    CHECK(spec.after == Words{"4", "any:5"});
    CHECK(options.in == Words{"a", "b/"});
    CHECK(options.in_arch.at("arm64") == "c");
    CHECK(spec.out == Words{"*.png"});
    CHECK(spec.env.at("A") == "b=c");
    CHECK(options.stdin_file == "data");
    CHECK(spec.cwd == "/srv");
    CHECK(spec.idempotency_key == "k");
    CHECK(spec.on_disconnect == "stop");
    CHECK(spec.lost_after_seconds == 90);
    CHECK(spec.notify == "mail x");
    CHECK(spec.held);
    CHECK(spec.command == Words{"render", "--fast"});
    CHECK_FALSE(spec.shell);
}

TEST_CASE("the last of a repeated option wins", "[cli]") {
    CHECK(submit({"--cpus", "1", "--cpus", "3", "--", "x"}).spec.cpus == 3);
}

TEST_CASE("the first word that is no option begins the command", "[cli]") {
    CHECK(submit({"--cpus", "2", "ls", "--name", "x"}).spec.command == Words{"ls", "--name", "x"});
    CHECK(submit({"git", "log", "--", "a"}).spec.command == Words{"git", "log", "--", "a"});
    CHECK(submit({"--", "--", "a"}).spec.command == Words{"--", "a"});
    CHECK(submit({"--", "-x"}).spec.command == Words{"-x"});
    CHECK(submit({"echo", "-o", "json"}).spec.command == Words{"echo", "-o", "json"});
}

TEST_CASE("files of several architectures may stand behind one --in-arch", "[cli]") {
    using Files = std::map<std::string, std::string>;
    const Files files{{"amd64", "a"}, {"arm64", "b"}, {"armhf", "c=d"}};
    const Words words{"--in-arch", "amd64=a", "arm64=b", "armhf=c=d", "--cpus", "2", "./x", "y=z"};
    CHECK(submit(words).in_arch == files);
    CHECK(submit(words).spec.command == Words{"./x", "y=z"});
    CHECK(submit({"--in-arch=amd64=a", "arm64=b", "--in-arch", "armhf=c=d", "--", "x"}).in_arch ==
          files);
    // What is no architecture begins the command.
    CHECK(submit({"--in-arch", "vax=a", "FOO=1", "x"}).spec.command == Words{"FOO=1", "x"});
    CHECK(submit({"--in-arch", "arm64=a", "--", "armel=b"}).spec.command == Words{"armel=b"});
    CHECK_THROWS_AS(submit({"--in-arch", "arm64=a", "armel=", "x"}), UsageError);
    CHECK(own_words(StartVerb::map, {"c", "--in-arch", "arm64=a", "armel=b", ":::", "armhf=x"}) ==
          std::vector<bool>{false, true, true, true, false, false});
}

TEST_CASE("own words are those before the command", "[cli]") {
    using Own = std::vector<bool>;
    CHECK(own_words(StartVerb::run, {"-o", "json", "ls", "-o", "x"}) ==
          Own{true, true, false, false, false});
    CHECK(own_words(StartVerb::run, {"--master=a", "--help"}) == Own{true, true});
    CHECK(own_words(StartVerb::run, {"--cpus", "2", "--", "--help"}) ==
          Own{true, true, false, false});
    CHECK(own_words(StartVerb::map, {"c {}", "--each-line", "f", "-o", "json"}) ==
          Own{false, true, true, true, true});
    CHECK(own_words(StartVerb::map, {"gzip", "--keep", "{}", ":::", "--cpus"}) ==
          Own{false, false, false, false, false});
}

TEST_CASE("run reads stdin only with --stdin, which may stand alone", "[cli]") {
    const auto run = [](const Words& words) { return parse_job_options(StartVerb::run, words); };
    CHECK(run({"cat"}).stdin_file.empty());
    CHECK(run({"--stdin", "--", "cat"}).stdin_file == "-");
    CHECK(run({"--stdin", "-", "--", "cat"}).stdin_file == "-");
    CHECK(run({"--stdin", "--cpus", "2", "--", "cat"}).stdin_file == "-");
    CHECK(run({"--stdin", "file", "--", "cat"}).stdin_file == "file");
    CHECK(run({"--stdin=file", "cat"}).stdin_file == "file");
    const auto bare = run({"--stdin", "cat", "-n"});
    CHECK(bare.stdin_file == "-");
    CHECK(bare.spec.command == Words{"cat", "-n"});
}

TEST_CASE("map takes one word as a line for sh and several as a command", "[cli]") {
    const auto map = [](const Words& words) { return parse_job_options(StartVerb::map, words); };
    const auto line = map({"gzip {}", ":::", "a", "b c"});
    CHECK(line.spec.shell);
    CHECK(line.spec.command == Words{"/bin/sh", "-c", "gzip {}"});
    CHECK(line.has_items);
    CHECK(line.items == Words{"a", "b c"});
    const auto words = map({"convert", "-resize", "50%", "{}", "{.}.png", ":::", "a.jpg"});
    CHECK_FALSE(words.spec.shell);
    CHECK(words.spec.command == Words{"convert", "-resize", "50%", "{}", "{.}.png"});
    CHECK(map({"gzip", "-9", ":::", "a"}).spec.command == Words{"gzip", "-9", "{}"});
    CHECK(map({"gzip", ":::", "a"}).spec.command.back() == "gzip {}");
    const auto behind = map({"work {}", "--each-line", "list", "--keep-order"});
    CHECK(behind.each_line == "list");
    CHECK(behind.keep_order);
    CHECK(behind.to == ".");
    CHECK(map({"--to", "results", "work {}", ":::", "a"}).to == "results");
    CHECK_THROWS_AS(map({"--to", "", "work {}", ":::", "a"}), UsageError);
    CHECK(map({"--array", "1-5", "work $RPIC_TASK"}).spec.command.back() == "work $RPIC_TASK");
    CHECK(map({"echo {}", ":::"}).has_items);
}

TEST_CASE("exec does not wait for CPUs, and knows its nodes", "[cli]") {
    const auto options =
        parse_job_options(StartVerb::exec, {"-w", "pi[1-3]", "-x", "pi2", "--", "uptime"});
    CHECK(options.nodes == "pi[1-3]");
    CHECK(options.without == "pi2");
    CHECK(options.spec.cpus == 0);
}

TEST_CASE("bad values get one line that says what is expected", "[cli]") {
    using Case = std::pair<Words, std::string>;
    for (const auto& [words, part] : std::vector<Case>{
             {{"--cpus", "many", "--", "x"}, "\"many\" for --cpus: expected a number"},
             {{"--cpus", "-1", "--", "x"}, "--cpus"},
             {{"--cpus", "nan", "--", "x"}, "--cpus"},
             {{"--mem", "2X", "--", "x"}, "expected a size"},
             {{"--array", "5-1", "--", "x"}, "--array"},
             {{"--where", "arch==", "--", "x"}, "--where"},
             {{"--time-limit", "0", "--", "x"}, "expected a duration"},
             {{"--retries", "1001", "--", "x"}, "from 0 to 1000"},
             {{"--retries", "1.5", "--", "x"}, "whole number"},
             {{"--resource", "gpu", "--", "x"}, "NAME=NUMBER"},
             {{"--env", "=1", "--", "x"}, "NAME=VALUE"},
             {{"--after", "frames", "--", "x"}, "\"frames\" for --after: expected the id of a job"},
             {{"--after", "any:", "--", "x"}, "\"any:\" for --after: expected the id of a job"},
             {{"--after", "0", "--", "x"}, "expected the id of a job"},
             {{"--on-disconnect", "perhaps", "--", "x"}, "keep or stop"},
             {{"--lost-after", "90", "--", "x"}, "--on-disconnect stop"},
             {{"--on-disconnect", "stop", "--lost-after", "30", "--", "x"}, "60s at least"},
             {{"--name", "a\nb", "--", "x"}, "--name"},
             {{"--cpu", "2", "--", "x"}, "did you mean --cpus?"},
             {{"--file", "jobs.toml", "--cpus", "2"}, "--cpus cannot stand beside --file"},
             {{"--hold", "--file", "jobs.toml"}, "--hold cannot stand beside --file"},
             {{"--name"}, "--name needs a value"},
             {{"--notify", "--", "x"}, "--notify needs a value"},
             {{}, "the command is missing"},
             {{"--"}, "the command is missing"},
             {{"--array", "1-2", "--each-line", "f", "--", "x"}, "only one of"},
             {{"--", "\xff"}, "UTF-8"},
             {{"--", std::string(50'000, 'x')}, "longer than 40"},
             {{"--limit", "3", "--", "x"}, "--each-line"},
         }) {
        INFO(part);
        const auto text = complaint(StartVerb::submit, words);
        CHECK(text.find(part) != std::string::npos);
        CHECK(text.find('\n') == std::string::npos);
    }
    CHECK(complaint(StartVerb::map, {"echo {}"}).find("map needs items") == 0);
    CHECK(complaint(StartVerb::run, {"-w", "pi1", "--", "x"}) ==
          "-w is an option of exec, not of this verb");
    CHECK(complaint(StartVerb::run, {"--file", "jobs.toml"}).find("option of submit") !=
          std::string::npos);
    // What is suggested is an option of the same verb.
    CHECK(complaint(StartVerb::exec, {"--wher", "x", "--", "x"}).find("mean --where") ==
          std::string::npos);
    CHECK(complaint(StartVerb::run, {"--each-line", "-", "--stdin", "-", "--", "x"})
              .find("only once") != std::string::npos);
}

TEST_CASE("a job file uses the same options", "[cli]") {
    JobOptions options;
    apply_job_option(options, "resource", {"gpu=1", "cam=2"});
    apply_job_option(options, "hold", {});
    CHECK(options.spec.resources.size() == 2);
    CHECK(options.spec.held);
    CHECK_THROWS_AS(apply_job_option(options, "file", {"x"}), UsageError);
    CHECK_THROWS_AS(apply_job_option(options, "frobnicate", {"x"}), UsageError);
    CHECK_THROWS_AS(apply_job_option(options, "cpus", {}), UsageError);
}
