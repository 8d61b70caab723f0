#pragma once

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <catch2/catch.hpp>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "common/clock.hpp"
#include "common/output.hpp"
#include "common/shell_quote.hpp"
#include "slave/runner/processes.hpp"
#include "slave/runner/runner_link.hpp"

namespace rpic::test {

/// What a task printed on one stream.
inline std::string stream_of(const std::string& records, OutputStream wanted) {
    std::string text;
    OutputReader reader;
    reader.feed(records, [&](OutputStream stream, std::string_view bytes) {
        if (stream == wanted) text += bytes;
    });
    CHECK(reader.at_boundary());
    return text;
}

/// A slave, as far as its runner knows: a link on a loop of its own.
class FakeSlave : public RunnerHandler {
  public:
    explicit FakeSlave(const std::filesystem::path& folder, const std::string& program = {})
        : link(io_.get_executor(), folder, program) {
        boost::asio::co_spawn(io_, link.run(*this), [](const std::exception_ptr&) {});
    }

    void on_attached(const std::vector<RunnerAttempt>& attempts) override {
        ++attached;
        listed.clear();
        for (const auto& each : attempts) listed[each.key] = each;
    }
    void on_no_runner() override { ++none; }
    void on_launched(const Launched& message) override { launched[message.key] = message.pid; }
    void on_ended(const RunnerAttempt& attempt, std::string_view output) override {
        ended[attempt.key] = attempt;
        outputs[attempt.key] = std::string(output);
        if (when_ended) when_ended(attempt.key);
    }
    void on_output(const AttemptOutput& message, std::string_view records) override {
        answer = message;
        answer_records = std::string(records);
    }
    void on_runner_gone(const std::string&) override { ++gone; }

    /// Runs the loop until that is so; fails the test after 20 s.
    void until(const std::function<bool()>& condition) {
        const auto deadline = Clock::now() + std::chrono::seconds(20);
        while (!condition() && Clock::now() < deadline)
            io_.run_one_for(std::chrono::milliseconds(20));
        REQUIRE(condition());
    }

    /// Runs it to its end.
    AttemptReport run(const LaunchSpec& spec) {
        launch(spec);
        until([&] { return ended.contains(spec.key); });
        return ended[spec.key].report;
    }
    void launch(const LaunchSpec& spec) {
        Launch message;
        message.spec = spec;
        REQUIRE(link.send(message));
    }
    /// To be started once the attempt `after` has ended.
    void hold(const LaunchSpec& spec, const AttemptKey& after) {
        Launch message;
        message.spec = spec;
        message.after = after;
        REQUIRE(link.send(message));
    }
    void start(const LaunchSpec& spec) {
        launch(spec);
        until([&] { return launched.contains(spec.key); });
    }
    void forget(const AttemptKey& key) {
        ForgetAttempts message;
        message.attempts = {key};
        link.send(message);
    }
    /// All that an attempt has printed, asked for piece by piece.
    std::string read_all(const AttemptKey& key) {
        std::string records;
        do {
            ReadAttempt message;
            message.id = ++asked_;
            message.key = key;
            message.offset = static_cast<std::int64_t>(records.size());
            message.wait = true;
            link.send(message);
            until([&] { return answer.id == asked_; });
            REQUIRE(answer.known);
            records += answer_records;
        } while (!answer.complete);
        return records;
    }

  private:
    boost::asio::io_context io_;
    std::int64_t asked_ = 0;

  public:
    RunnerLink link;
    int attached = 0;
    int gone = 0;
    int none = 0;  // how often it was told that there is no runner
    std::map<AttemptKey, RunnerAttempt> listed;
    std::map<AttemptKey, std::int64_t> launched;
    std::map<AttemptKey, RunnerAttempt> ended;
    std::map<AttemptKey, std::string> outputs;
    std::function<void(const AttemptKey&)> when_ended;
    AttemptOutput answer;
    std::string answer_records;
};

/// A folder of a runner, which is stopped at the end whatever it does.
class RunnerFolder {
  public:
    RunnerFolder() {
        auto pattern = (std::filesystem::temp_directory_path() / "rpic-runner-XXXXXX").string();
        REQUIRE(::mkdtemp(pattern.data()) != nullptr);
        path = pattern;
    }
    ~RunnerFolder() {
        stop(SIGTERM);  // so that it takes its cgroups away
        stop(SIGKILL);
        std::error_code ignored;
        std::filesystem::remove_all(path, ignored);
    }

    /// The process that holds the lock; 0 if none does.
    pid_t runner() const {
        std::ifstream file(runner_path() / "lock");
        pid_t pid = 0;
        file >> pid;
        std::error_code error;
        const auto program =
            std::filesystem::read_symlink("/proc/" + std::to_string(pid) + "/exe", error);
        return program.filename() == "rpicluster-runner" ? pid : 0;
    }
    void stop(int signal) const {
        const pid_t pid = runner();
        if (pid > 0) ::kill(pid, signal);
        const auto deadline = Clock::now() + std::chrono::seconds(10);
        while (runner() > 0 && Clock::now() < deadline) ::usleep(2000);
    }
    std::filesystem::path runner_path() const { return path / "runner"; }
    /// Whether the runner's files hold anything that a later one would have to know.
    bool remembers() const {
        for (const char* name : {"spool", "running"}) {
            std::error_code error;
            const auto size = std::filesystem::file_size(runner_path() / name, error);
            if (!error && size > 0) return true;
        }
        return false;
    }

    /// A program that is the runner without cgroups, as on machines where it may have none.
    std::string without_groups() const {
        const auto own = std::filesystem::read_symlink("/proc/self/exe").parent_path();
        const auto script = path / "runner-without-groups";
        std::ofstream(script) << "#!/bin/sh\nexec "
                              << shell_quote((own / "rpicluster-runner").string())
                              << " --cgroups none \"$@\"\n";
        ::chmod(script.c_str(), 0755);
        return script.string();
    }

    /// A shell command as an attempt of its own.
    LaunchSpec shell(const std::string& command) { return program({"/bin/sh", "-c", command}); }
    LaunchSpec program(std::vector<std::string> command) {
        LaunchSpec spec;
        spec.key = {1, 0, ++attempts_};
        spec.command = std::move(command);
        spec.env = {{"PATH", "/usr/bin:/bin"}};
        spec.folder = path.string();
        spec.grace_seconds = 0.3;
        spec.context = "context " + std::to_string(attempts_);
        return spec;
    }
    std::string text_of(const std::string& name) const {
        std::ifstream file(path / name);
        return {std::istreambuf_iterator<char>(file), {}};
    }
    void write(const std::string& name, const std::string& text = "", int mode = 0755) const {
        std::ofstream(path / name) << text;
        ::chmod((path / name).c_str(), static_cast<mode_t>(mode));
    }
    bool there(const std::string& name) const { return std::filesystem::exists(path / name); }

    std::filesystem::path path;

  private:
    std::int64_t attempts_ = 0;
};

/// A process id that a task wrote into a file.
inline pid_t pid_in(FakeSlave& slave, const RunnerFolder& folder, const std::string& name) {
    slave.until([&] { return folder.text_of(name).ends_with('\n'); });
    return std::stoi(folder.text_of(name));
}

inline bool lives(pid_t pid) {
    std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
    std::string line;
    std::getline(file, line);
    Process process;
    return parse_process(line, 4096, process) && !process.zombie;
}

}  // namespace rpic::test
