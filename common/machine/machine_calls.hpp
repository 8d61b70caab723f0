#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

namespace rpic {

struct DiskSpace {
    std::int64_t bytes = 0;
    std::int64_t free_bytes = 0;  // for programs without root's reserve
};

/// What of a machine only system calls tell, and no file of /proc or /sys. A recorded machine has
/// none of them, or those that a test gives it: a call that is not there has nothing to tell.
struct MachineCalls {
    /// Of the file system that holds a path: statvfs(3).
    std::function<std::optional<DiskSpace>(const std::string& path)> disk_space;

    /// What the firmware of a Raspberry Pi says about its power and heat: ask_throttled() through
    /// /dev/vcio. Null on other boards, and for users who may not open that device (Raspberry Pi OS
    /// has the group "video" for it).
    std::function<std::optional<std::uint32_t>()> firmware_throttled;

    /// Whether somebody keeps the wall clock right: adjtimex(2).
    std::function<std::optional<bool>()> clock_is_set;
};

/// Those of the machine that runs this.
MachineCalls real_machine_calls();

/// A message of one tag for the firmware of a Raspberry Pi, as the mailbox property interface has
/// it: size, code, tag, room for the value, its code, the value, the end, and padding.
using FirmwareMessage = std::array<std::uint32_t, 8>;

/// Asks the firmware for the bits of "get throttled" (tag 0x00030046), without clearing those that
/// it keeps since the boot. `exchange` hands the message over and gets the answer in its place;
/// false if that failed. Null as well for an answer that is none.
std::optional<std::uint32_t> ask_throttled(const std::function<bool(FirmwareMessage&)>& exchange);

}  // namespace rpic
