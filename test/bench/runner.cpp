#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "common/clock.hpp"
#include "slave/runner/runner_link.hpp"

// How many /bin/true a second the runner starts and reports with two of them in flight, beside what
// posix_spawn and wait reach in the same process: rpicluster-bench-runner [SECONDS]

namespace {

using namespace rpic;

char* nothing[] = {nullptr};

void spawn_true() {
    static char name[] = "/bin/true";
    char* arguments[] = {name, nullptr};
    pid_t pid = 0;
    if (::posix_spawn(&pid, name, nullptr, nullptr, arguments, nothing) != 0) std::abort();
}

double bare(double seconds) {
    const auto began = Clock::now();
    int done = 0;
    for (int i = 0; i < 2; ++i) spawn_true();
    while (to_seconds(Clock::now() - began) < seconds) {
        if (::wait(nullptr) < 0) std::abort();
        ++done;
        spawn_true();
    }
    const double rate = done / to_seconds(Clock::now() - began);
    while (::wait(nullptr) > 0) continue;
    return rate;
}

class Launcher : public RunnerHandler {
  public:
    Launcher(boost::asio::io_context& io, const std::filesystem::path& folder)
        : link(io.get_executor(), folder), folder_(folder) {}

    void launch() {
        Launch message;
        message.spec.key = {1, 0, ++attempts_};
        message.spec.command = {"/bin/true"};
        message.spec.env = {{"PATH", "/bin"}};
        message.spec.folder = folder_.string();
        message.spec.grace_seconds = 5;
        if (!link.send(message)) std::abort();
    }

    void on_attached(const std::vector<RunnerAttempt>&) override {}
    void on_launched(const Launched&) override {}
    void on_ended(const RunnerAttempt& attempt, std::string_view) override {
        if (attempt.report.exit_code != 0) std::abort();
        ++done;
        ForgetAttempts message;
        message.attempts = {attempt.key};
        link.send(message);
        launch();
    }
    void on_output(const AttemptOutput&, std::string_view) override {}
    void on_no_runner() override {}
    void on_runner_gone(const std::string& reason) override {
        std::fprintf(stderr, "the runner is gone: %s\n", reason.c_str());
        std::abort();
    }

    RunnerLink link;
    int done = 0;

  private:
    std::filesystem::path folder_;
    std::int64_t attempts_ = 0;
};

double through_runner(double seconds, const std::filesystem::path& folder, pid_t& runner) {
    boost::asio::io_context io(1);
    Launcher launcher(io, folder);
    boost::asio::co_spawn(io, launcher.link.run(launcher), [](const std::exception_ptr&) {});
    for (int i = 0; i < 2; ++i) launcher.launch();
    while (launcher.done < 10) io.run_one();
    runner = static_cast<pid_t>(launcher.link.runner_pid());
    const int before = launcher.done;
    const auto began = Clock::now();
    while (to_seconds(Clock::now() - began) < seconds)
        io.run_one_for(std::chrono::milliseconds(10));
    return (launcher.done - before) / to_seconds(Clock::now() - began);
}

}  // namespace

int main(int argc, char** argv) {
    const double seconds = argc > 1 ? std::atof(argv[1]) : 3;
    std::string pattern = (std::filesystem::temp_directory_path() / "rpic-bench-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) return 1;
    for (int round = 0; round < 3; ++round) {
        pid_t runner = 0;
        const double limit = bare(seconds);
        const auto folder = std::filesystem::path(pattern) / std::to_string(round);
        const double reached = through_runner(seconds, folder, runner);
        std::printf("posix_spawn %5.0f/s   runner %5.0f/s   %3.0f %%\n", limit, reached,
                    100 * reached / limit);
        if (runner > 0) ::kill(runner, SIGTERM);
    }
    std::error_code ignored;
    std::filesystem::remove_all(pattern, ignored);
}
