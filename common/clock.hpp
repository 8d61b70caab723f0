#pragma once

#include <chrono>
#include <string>

namespace rpic {

using Duration = std::chrono::nanoseconds;

/// The only clock that decides anything: CLOCK_BOOTTIME (clock_gettime(2)), which never jumps and
/// goes on while the machine is suspended. The wall clock is for display alone.
struct Clock {
    using duration = Duration;
    using rep = duration::rep;
    using period = duration::period;
    using time_point = std::chrono::time_point<Clock, duration>;
    static constexpr bool is_steady = true;

    static time_point now() noexcept;
};

using Instant = Clock::time_point;

/// Seconds as a floating-point number, for display and JSON.
double to_seconds(Duration duration);

/// Seconds since 1970 by the wall clock.
std::int64_t wall_seconds();

/// A wall time as RFC 3339 in UTC, for example 2026-03-01T12:00:00Z.
std::string rfc3339(std::int64_t seconds_since_1970);

}  // namespace rpic
