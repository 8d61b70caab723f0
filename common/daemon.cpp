#include "common/daemon.hpp"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/asio/signal_set.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "common/errors.hpp"
#include "common/service_manager.hpp"

namespace rpic {

void prepare_process() {
    std::signal(SIGPIPE, SIG_IGN);
    ::umask(0077);
    rlimit files{};
    if (::getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
        files.rlim_cur = files.rlim_max;
        ::setrlimit(RLIMIT_NOFILE, &files);
    }
    // Keys are in the memory of most programs, and a core file is where the crash was. A task that
    // wants core files of its own may raise the limit again.
    rlimit cores{};
    if (::getrlimit(RLIMIT_CORE, &cores) == 0) {
        cores.rlim_cur = 0;
        ::setrlimit(RLIMIT_CORE, &cores);
    }
    // Where the kernel hands core files to a program, this limit does not count.
    core_files_hold_memory(false);
}

void core_files_hold_memory(bool yes) {
    const std::string_view filter = yes ? "0x33" : "0";  // 0x33 is what the kernel begins with
    const int file = ::open("/proc/self/coredump_filter", O_WRONLY | O_CLOEXEC);
    if (file < 0) return;  // a kernel that writes no core files at all
    [[maybe_unused]] const auto written = ::write(file, filter.data(), filter.size());
    ::close(file);
}

namespace {

/// Signals that mean the program, and not its init.
constexpr int handed_on[] = {SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2};

[[noreturn]] void be_init(pid_t child) {
    sigset_t awaited;
    sigemptyset(&awaited);
    sigaddset(&awaited, SIGCHLD);
    for (const int signal : handed_on) sigaddset(&awaited, signal);
    for (;;) {
        siginfo_t info;
        const int signal = ::sigwaitinfo(&awaited, &info);
        if (signal > 0 && signal != SIGCHLD) ::kill(child, signal);
        int status = 0;
        for (pid_t ended = 0; (ended = ::waitpid(-1, &status, WNOHANG)) > 0;)
            if (ended == child)
                std::_Exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
    }
}

}  // namespace

void leave_init_behind() {
    if (::getpid() != 1) return;
    // Blocked first, so that none is lost between the fork and the wait for it.
    sigset_t all, before;
    sigfillset(&all);
    ::sigprocmask(SIG_SETMASK, &all, &before);
    const pid_t child = ::fork();
    if (child > 0) be_init(child);
    // Ctrl-C of a terminal reaches both; in a session of its own the child gets it once.
    if (child == 0) ::setsid();
    ::sigprocmask(SIG_SETMASK, &before, nullptr);
}

int guarded_main(const char* program, const std::function<int()>& body) {
    try {
        const int code = body();
        if (std::fflush(stdout) == 0) return code;
        std::fprintf(stderr, "%s: cannot write the output\n", program);
        return exit_code::failed;
    } catch (const ConfigError& error) {
        std::fprintf(stderr, "%s: %s\n", program, error.what());
        return exit_code::configuration;
    } catch (const std::exception& error) {
        std::fprintf(stderr, "%s: %s\n", program, error.what());
        return exit_code::failed;
    }
}

Background::Background(bool wanted) {
    if (!wanted) return;
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) throw ConfigError("cannot start in the background: no pipe");
    const pid_t child = ::fork();
    if (child < 0) throw ConfigError("cannot start in the background: no new process");
    if (child == 0) {
        // Nothing of the caller's is kept: cron and flock(1) wait until what they opened is closed.
        pipe_ = ::dup2(ends[1], 3);
        ::fcntl(pipe_, F_SETFD, FD_CLOEXEC);
        ::close_range(4, ~0U, 0);
        ::setsid();
        return;
    }
    ::close(ends[1]);
    char ready = 0;
    if (::read(ends[0], &ready, 1) == 1) std::_Exit(exit_code::ok);
    int status = 0;
    ::waitpid(child, &status, 0);
    std::_Exit(WIFEXITED(status) ? WEXITSTATUS(status) : exit_code::failed);
}

void Background::ready() {
    if (pipe_ < 0) return tell_service_manager("READY=1");
    if (::chdir("/") != 0) std::abort();  // there is no machine on which this fails
    const int nowhere = ::open("/dev/null", O_RDWR | O_CLOEXEC);
    for (const int descriptor : {0, 1, 2}) ::dup2(nowhere, descriptor);
    ::close(nowhere);
    const char yes = 1;
    // If the parent is gone there is nobody to tell.
    [[maybe_unused]] const auto told = ::write(pipe_, &yes, 1);
    ::close(pipe_);
    pipe_ = -1;
}

boost::asio::awaitable<void> wait_for_stop() {
    const auto executor = co_await boost::asio::this_coro::executor;
    boost::asio::signal_set signals(executor, SIGTERM, SIGINT);
    const int number = co_await signals.async_wait(boost::asio::use_awaitable);
    tell_service_manager("STOPPING=1");
    // Leaving here gives the signals back to the kernel, whose answer to the next one is the end.
    throw StopRequest{number == SIGTERM ? "SIGTERM" : "SIGINT"};
}

}  // namespace rpic
