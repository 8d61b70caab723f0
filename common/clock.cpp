#include "common/clock.hpp"

#include <ctime>

namespace rpic {

Instant Clock::now() noexcept {
    timespec now{};
    clock_gettime(CLOCK_BOOTTIME, &now);
    return Instant{std::chrono::seconds{now.tv_sec} + std::chrono::nanoseconds{now.tv_nsec}};
}

double to_seconds(Duration duration) {
    return std::chrono::duration<double>(duration).count();
}

std::int64_t wall_seconds() {
    return static_cast<std::int64_t>(std::time(nullptr));
}

std::string rfc3339(std::int64_t seconds_since_1970) {
    const std::time_t time = seconds_since_1970;
    std::tm parts{};
    gmtime_r(&time, &parts);
    char text[64];
    const auto length = std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
    return std::string(text, length);
}

}  // namespace rpic
