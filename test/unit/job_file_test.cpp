#include "cli/job_file.hpp"

#include <catch2/catch.hpp>
#include <random>

using rpic::FileJob;
using rpic::parse_job_file;
using rpic::SyntaxError;
using Words = std::vector<std::string>;

namespace {

std::string error(const std::string& text) {
    try {
        parse_job_file(text, "film.toml");
    } catch (const SyntaxError& e) {
        return e.what();
    }
    return "";
}

std::string names(const std::vector<FileJob>& jobs) {
    std::string result;
    for (const auto& job : jobs) result += job.name + ' ';
    return result;
}

/// A job that comes after others.
std::string job(const std::string& name, const std::string& after = "[]") {
    return "[[job]]\nname = '" + name + "'\ncommand = 'true'\nafter = " + after + "\n";
}

std::string repeated(const std::string& text, int times) {
    std::string result;
    for (int i = 0; i < times; ++i) result += text;
    return result;
}

}  // namespace

TEST_CASE("job file: TOML with every option", "[jobfile]") {
    const auto jobs = parse_job_file(R"(# a film
[[job]]
name = "film"
command = "ffmpeg -i frame%d.png film.mp4"
after = ["any:frames", "ok:12", 7]
hold = true

[[job]]
name = "frames"
command = ["./render", "--frame", 3]
array = "1-100%20"
cpus = 0.5
mem = "512M"
resource = { gpu = 1, camera = 2 }
where = "arch==arm64"
priority = -5
time-limit = "10m"
retries = 2
max_fails = 3
in = ["render", "scene/"]
in_arch = { arm64 = "build/render" }
out = "frame*.png"
env = { LANG = "C", N = 5 }
stdin = "list"
cwd = "/tmp"
on_disconnect = "stop"
lost_after = 120
notify = "mail me"
idempotency_key = "k"
hold = false
)",
                                     "film.toml");
    REQUIRE(names(jobs) == "frames film ");
    const auto& frames = jobs[0];
    CHECK(frames.place == "film.toml:8");
    CHECK(frames.command == Words{"./render", "--frame", "3"});
    CHECK_FALSE(frames.shell);
    CHECK_FALSE(frames.has_items);
    const std::map<std::string, Words> expected = {
        {"name", {"frames"}},
        {"array", {"1-100%20"}},
        {"cpus", {"0.5"}},
        {"mem", {"512M"}},
        {"resource", {"camera=2", "gpu=1"}},
        {"where", {"arch==arm64"}},
        {"priority", {"-5"}},
        {"time-limit", {"10m"}},
        {"retries", {"2"}},
        {"max-fails", {"3"}},
        {"in", {"render", "scene/"}},
        {"in-arch", {"arm64=build/render"}},
        {"out", {"frame*.png"}},
        {"env", {"LANG=C", "N=5"}},
        {"stdin", {"list"}},
        {"cwd", {"/tmp"}},
        {"on-disconnect", {"stop"}},
        {"lost-after", {"120"}},
        {"notify", {"mail me"}},
        {"idempotency-key", {"k"}},
    };
    CHECK(frames.options == expected);
    const auto& film = jobs[1];
    CHECK(film.shell);
    CHECK(film.command == Words{"ffmpeg -i frame%d.png film.mp4"});
    CHECK(film.after == Words{"any:frames"});
    CHECK(film.options.at("after") == Words{"ok:12", "7"});
    CHECK(film.options.at("hold").empty());
}

TEST_CASE("job file: JSON", "[jobfile]") {
    const auto jobs = parse_job_file(R"( {"job": [
        {"name": "b", "command": ["x", "{}"], "items": ["1", "two words", 3], "after": "a"},
        {"name": "a", "command": "true", "each-line": "list.txt", "limit": 4, "cpus": 1.5}]}
)",
                                     "jobs.json");
    REQUIRE(names(jobs) == "a b ");
    CHECK(jobs[0].options.at("each-line") == Words{"list.txt"});
    CHECK(jobs[0].options.at("limit") == Words{"4"});
    CHECK(jobs[0].options.at("cpus") == Words{"1.5"});
    CHECK(jobs[1].has_items);
    CHECK(jobs[1].items == Words{"1", "two words", "3"});
    CHECK(jobs[1].place == "jobs.json: job 1 (b)");
}

TEST_CASE("job file: dependencies come first, else the order is as written", "[jobfile]") {
    CHECK(names(parse_job_file(
              job("d", "['b', 'c']") + job("c", "['a']") + job("b", "['a']") + job("a") + job("z"),
              "f")) == "a c b d z ");
    CHECK(names(parse_job_file(job("x") + job("y") + job("w"), "f")) == "x y w ");
    CHECK(names(parse_job_file(job("y", "['x', 'x']") + job("x"), "f")) == "x y ");
}

TEST_CASE("job file: in JSON, which has no lines, errors name the job", "[jobfile]") {
    const auto json_error = [](const std::string& jobs) {
        return error("{\"job\": [{\"name\": \"a\", \"command\": \"true\"}, " + jobs + "]}");
    };
    CHECK(json_error(R"({"name": "b", "command": "true", "colour": 1})") ==
          "film.toml: job 2 (b): unknown key \"colour\"");
    CHECK(json_error(R"({"colour": 1, "name": "b"})") ==
          "film.toml: job 2 (b): unknown key \"colour\"");
    CHECK(json_error(R"({"command": "true", "cpus": "x"})") ==
          "film.toml: job 2: wrong value for cpus: expected a number");
    CHECK(json_error(R"({"name": "b", "cpus": null})") ==
          "film.toml: job 2: a null: leave the option out instead");
    CHECK(json_error("5") == "film.toml: job 2: a job is a table of options, and this is none");
    CHECK(json_error(R"({"name": "b", "command": "true", "after": "zz"})") ==
          "film.toml: the job \"b\" comes after \"zz\", and there is no such job in the file: did "
          "you mean a?");
}

TEST_CASE("job file: errors name the place", "[jobfile]") {
    CHECK(error(job("x") + job("other", "['othe']")) ==
          "film.toml:5: the job \"other\" comes after \"othe\", and there is no such job in the "
          "file");
    CHECK(error(job("a") + job("b", "['c']") + job("c", "['b']")) ==
          "film.toml:5: these jobs wait for one another: b after c after b");
    CHECK(error(job("a", "'a'")) == "film.toml:1: these jobs wait for one another: a after a");
    CHECK(error(job("tail", "['b']") + job("b", "['c']") + job("c", "['b']")).find("b after c") !=
          std::string::npos);
    CHECK(error(job("frames") + job("film", "['frame']")) ==
          "film.toml:5: the job \"film\" comes after \"frame\", and there is no such job in the "
          "file: did you mean frames?");
    CHECK(error(job("a") + job("a")) == "film.toml:5: a second job with the name \"a\"");
    CHECK(error("[[job]]\nname='a'\ncommand='x'\nprioritty=3\n") ==
          "film.toml:4: unknown key \"prioritty\": did you mean priority?");
    CHECK(error("[[job]]\nname='a'\ncommand='x'\nretries='3'\n") ==
          "film.toml:4: wrong value for retries: expected a whole number");
    CHECK(error("[[job]]\nname='a'\ncommand='x'\nretries=1.5\n") ==
          "film.toml:4: wrong value for retries: expected a whole number");
    CHECK(error("[[job]]\nname='a'\ncommand=[]\n") ==
          "film.toml:3: wrong value for command: expected a list of words, or a line for sh in "
          "quotes");
    CHECK(error("[[job]]\nname='a'\n") == "film.toml:1: the job \"a\" has no command");
    CHECK(error("\n[[job]]\ncommand='a'\n") ==
          "film.toml:2: a job without a name: expected name = \"...\"");
    CHECK(error("[job]\nname='a'\n").find("two brackets") != std::string::npos);
    CHECK(error("jobs=1") ==
          "film.toml:1: unknown key \"jobs\": a job file holds nothing but jobs ([[job]])");
    CHECK(error("") == "film.toml: there is no job in it: expected [[job]]");
    CHECK(error("job = ['x']").find("a table of options") != std::string::npos);
    CHECK(error("[\\a]").find("film.toml: not TOML") == 0);  // once an assertion of the library
    CHECK(error("a = \xEF\xBA\xBF").find("film.toml:1: not TOML") == 0);  // once beyond its reach
    CHECK(error("a\nb").substr(0, 21) == "film.toml:1: not TOML");
    CHECK(error("{\n\"job\": [}").substr(0, 21) == "film.toml:2: not JSON");
    CHECK(error("{} x").find("not JSON") != std::string::npos);
    CHECK(error("{\"job\": [").find("not JSON") != std::string::npos);
    CHECK(error("[[job]]\nname='a'\ncommand=2020-01-01\n").find("film.toml:3: a date") == 0);
    for (const auto* name : {"'12'", "''", "'a:b'", "\"a\\nb\""})
        CHECK(error(std::string("[[job]]\ncommand='x'\nname=") + name).find("cannot be used") !=
              std::string::npos);
}

TEST_CASE("job file: hostile texts", "[jobfile]") {
    CHECK(error("[[job]]\nname='a'\ncommand=\"\\u0000\"").find("NUL") != std::string::npos);
    CHECK(error("{\"job\":[{\"name\":\"a\",\"command\":\"a\\u0000\"}]}").find("NUL") !=
          std::string::npos);
    CHECK(error(std::string(5'000'000, '#')).find("longer than") != std::string::npos);
    CHECK(error(repeated("a.", 2'000'000) + "a=1").find("too many parts") != std::string::npos);
    CHECK(error(repeated("a.", 900) + "a=1").find("nested too deeply") != std::string::npos);
    CHECK_FALSE(error("a=" + repeated("[", 2'000'000)).empty());
    CHECK_FALSE(error("{\"job\":" + repeated("[", 2'000'000)).empty());
    CHECK(error("{\"job\":[[[[[1]]]]]}").find("nested too deeply") != std::string::npos);
    std::string many = job("a0");
    for (int i = 1; i < 5000; ++i)
        many += job("a" + std::to_string(i), "['a" + std::to_string(i - 1) + "']");
    CHECK(parse_job_file(many, "f").size() == 5000);  // a long chain is not deep for us
}

TEST_CASE("job file: any bytes give jobs or a SyntaxError", "[jobfile]") {
    std::mt19937 random(5);
    const auto good = job("a") + job("b", "['a']") + "env = { A = 'b' }\nitems = ['x']\n";
    for (int i = 0; i < 3000; ++i) {
        auto text = good;
        for (int change = 0; change < 3; ++change)
            text[random() % text.size()] = static_cast<char>(random() % 256);
        CAPTURE(text);
        try {
            const auto jobs = parse_job_file(text, "f");
            CHECK(jobs.size() <= 2);
        } catch (const SyntaxError& e) {
            CHECK(std::string(e.what()).find('\n') == std::string::npos);
        }
    }
}
