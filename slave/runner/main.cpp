#include <fcntl.h>
#include <getopt.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <exception>
#include <optional>
#include <thread>

#include "common/daemon.hpp"
#include "common/errors.hpp"
#include "common/files.hpp"
#include "common/limits.hpp"
#include "common/version.hpp"
#include "slave/runner/runner.hpp"
#include "slave/runner/runner_log.hpp"

namespace {

using namespace rpic;

constexpr const char* usage =
    "Usage: rpicluster-runner --folder DIR [--log-file F]\n"
    "Owns the tasks of one node; started by rpicluster-slave when there are some.\n\n"
    "  --folder DIR     its socket, lock, spool and output files\n"
    "  --log-file F     instead of stderr\n"
    "  --background     goes to the background once it listens\n"
    "  --cgroups DIR    a cgroup v2 folder for its tasks, or own: below the cgroup that it\n"
    "                   is in, which must be left to it; or none\n"
    "  --version, --help\n";

struct CommandLine {
    std::string folder;
    std::string log_file;
    std::string groups;
    bool background = false;
    bool help = false;
    bool version = false;
};

CommandLine parse(int argc, char** argv) {
    const option options[] = {{"folder", required_argument, nullptr, 'f'},
                              {"log-file", required_argument, nullptr, 'l'},
                              {"cgroups", required_argument, nullptr, 'g'},
                              {"background", no_argument, nullptr, 'b'},
                              {"help", no_argument, nullptr, 'h'},
                              {"version", no_argument, nullptr, 'v'},
                              {nullptr, 0, nullptr, 0}};
    CommandLine line;
    for (int found = 0; (found = ::getopt_long(argc, argv, "", options, nullptr)) != -1;) {
        if (found == 'f') line.folder = optarg;
        if (found == 'l') line.log_file = optarg;
        if (found == 'g') line.groups = optarg;
        line.background = line.background || found == 'b';
        line.help = line.help || found == 'h';
        line.version = line.version || found == 'v';
        if (found == '?') throw ConfigError("--help lists the options");
    }
    if (line.folder.empty() && !line.help && !line.version)
        throw ConfigError("--folder is missing: rpicluster-slave gives it");
    return line;
}

/// A predecessor that is ending still has the lock for a moment.
void take_lock(const std::filesystem::path& folder, std::optional<FolderLock>& lock) {
    const auto deadline = Clock::now() + limits::runner_lock_time;
    while (!lock) {
        try {
            lock.emplace(folder, "a runner");
        } catch (const AlreadyRunningError&) {
            if (Clock::now() > deadline) throw;
            std::this_thread::sleep_for(std::chrono::milliseconds(10));
        }
    }
}

/// What tasks inherit is not what the runner was started with, and what it wants for itself.
void prepare_signals() {
    for (int signal = 1; signal < NSIG; ++signal)
        if (signal != SIGKILL && signal != SIGSTOP) std::signal(signal, SIG_DFL);
    std::signal(SIGPIPE, SIG_IGN);
    sigset_t awaited;
    sigemptyset(&awaited);
    for (const int signal : {SIGCHLD, SIGTERM, SIGINT}) sigaddset(&awaited, signal);
    ::sigprocmask(SIG_SETMASK, &awaited, nullptr);
}

int start(int argc, char** argv) {
    const auto line = parse(argc, argv);
    if (line.help || line.version) {
        std::printf(line.help ? "%s" : "rpicluster-runner %s\n", line.help ? usage : version);
        return exit_code::ok;
    }
    RunnerOptions options;
    options.folder = std::filesystem::absolute(line.folder);
    options.groups = line.groups;
    ::getrlimit(RLIMIT_NOFILE, &options.open_files);
    prepare_process();
    // There is no key here, and tasks, which inherit this, may want core files of their own.
    core_files_hold_memory(true);
    make_private_folder(options.folder);
    Background background(line.background);
    prepare_signals();
    // Orphans of tasks become children of the runner, who sees their end.
    ::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    std::optional<FolderLock> lock;
    try {
        take_lock(options.folder, lock);
    } catch (const AlreadyRunningError&) {
        // Whoever starts one in the background wants that there is one.
        if (line.background) return exit_code::ok;
        throw;
    }
    boost::asio::io_context io(1);
    Runner runner(io.get_executor(), options);
    runner.listen();
    background.ready();
    if (!line.log_file.empty()) open_log_file(line.log_file.c_str());
    std::exception_ptr failure;
    boost::asio::co_spawn(io, runner.run(), [&](const std::exception_ptr& thrown) {
        failure = thrown;
        io.stop();
    });
    io.run();
    if (failure) std::rethrow_exception(failure);
    return exit_code::ok;
}

}  // namespace

int main(int argc, char** argv) {
    return rpic::guarded_main("rpicluster-runner", [&] { return start(argc, argv); });
}
