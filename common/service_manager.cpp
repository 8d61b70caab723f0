#include "common/service_manager.hpp"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstddef>
#include <cstdlib>
#include <cstring>

#include "common/sleep.hpp"

namespace rpic {

namespace {

constexpr Duration nothing_to_do = std::chrono::hours(24);
constexpr int beats_per_period = 3;  // one may come late without the end of the service

/// A third of what the unit allows; zero if it wants nothing, or not of this process.
Duration watchdog_interval() {
    const char* pid = std::getenv("WATCHDOG_PID");
    if (pid != nullptr && std::to_string(::getpid()) != pid) return {};
    const char* text = std::getenv("WATCHDOG_USEC");
    if (text == nullptr) return {};
    const auto microseconds = std::strtoll(text, nullptr, 10);
    if (microseconds <= 0) return {};
    return std::chrono::microseconds(microseconds) / beats_per_period;
}

}  // namespace

void tell_service_manager(const std::string& state) {
    const char* path = std::getenv("NOTIFY_SOCKET");
    sockaddr_un address{};
    if (path == nullptr || (*path != '/' && *path != '@')) return;
    const auto size = std::strlen(path);
    if (size >= sizeof address.sun_path) return;
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path, size);
    if (*path == '@') address.sun_path[0] = '\0';  // an abstract one
    const int socket = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (socket < 0) return;
    const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + size);
    // Whoever does not take it cannot be helped.
    [[maybe_unused]] const auto sent =
        ::sendto(socket, state.data(), state.size(), MSG_NOSIGNAL,
                 reinterpret_cast<const sockaddr*>(&address), length);
    ::close(socket);
}

boost::asio::awaitable<void> feed_watchdog() {
    const auto interval = watchdog_interval();
    for (;;) {
        if (interval > Duration::zero()) tell_service_manager("WATCHDOG=1");
        const auto pause = interval > Duration::zero() ? interval : nothing_to_do;
        co_await sleep_for(pause);
    }
}

}  // namespace rpic
