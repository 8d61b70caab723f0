#pragma once

#include <cstdint>

/// What this process uses, as the kernel counts it; 0 where it does not say.
namespace rpic {

/// Resident memory (VmRSS of proc(5)).
std::int64_t own_rss_bytes();

/// Bytes that this process caused to be written to storage since it started (write_bytes of
/// /proc/PID/io).
std::int64_t own_bytes_written();

}  // namespace rpic
