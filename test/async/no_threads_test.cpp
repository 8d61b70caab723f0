#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <functional>
#include <thread>

#include "common/file_thread.hpp"
#include "common/sleep.hpp"
#include "slave/runner/disk_sync.hpp"
#include "test/async/loopback.hpp"

/// What the programs do where no thread can be started.

using namespace rpic;
using namespace std::chrono_literals;

namespace {

void set_processes(bool none) {
    rlimit limit{};
    ::getrlimit(RLIMIT_NPROC, &limit);
    limit.rlim_cur = none ? 0 : limit.rlim_max;
    ::setrlimit(RLIMIT_NPROC, &limit);
}

/// Calls `part` in a process that may have no threads until it calls what is handed to it.
bool holds_without_threads(const std::function<bool(const std::function<void()>& allow)>& part) {
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        // The limit is not for root.
        constexpr uid_t nobody = 65534;
        if (::geteuid() == 0 && (::setgid(nobody) != 0 || ::setuid(nobody) != 0)) ::_exit(2);
        set_processes(true);
        bool holds = false;
        try {
            holds = part([] { set_processes(false); });
        } catch (const std::exception&) {
            ::_exit(3);
        }
        ::_exit(holds ? 0 : 1);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

}  // namespace

TEST_CASE("work with files waits until there is a thread for it", "[no_threads]") {
    CHECK(holds_without_threads([](const std::function<void()>& allow) {
        asio::io_context io;
        FileThread files(io.get_executor());
        int given = 0;
        bool early = false;
        auto work = [&]() -> asio::awaitable<void> {
            auto give = [] { return 7; };
            given = co_await files.run(std::move(give));
        };
        auto relent = [&]() -> asio::awaitable<void> {
            const Duration moment = 50ms;
            co_await sleep_for(moment);
            early = given != 0;
            allow();
        };
        test::run_all(io, work(), relent());
        return given == 7 && !early;
    }));
}

TEST_CASE("a sync is put off while there is no thread for it", "[no_threads]") {
    CHECK(holds_without_threads([](const std::function<void()>& allow) {
        DiskSync sync;
        const auto fail = [] { return 5; };
        if (sync.start(fail) || sync.busy()) return false;
        allow();
        if (!sync.start(fail)) return false;
        while (sync.busy()) std::this_thread::sleep_for(1ms);
        return sync.take_result() == 5 && !sync.take_result();
    }));
}
