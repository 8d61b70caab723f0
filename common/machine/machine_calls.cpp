#include "common/machine/machine_calls.hpp"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/statvfs.h>
#include <sys/timex.h>

#include <limits>

#include "common/descriptor.hpp"

namespace rpic {

namespace {

std::optional<DiskSpace> disk_space(const std::string& path) {
    struct statvfs disk {};
    if (::statvfs(path.c_str(), &disk) != 0) return std::nullopt;
    constexpr std::uint64_t most = std::numeric_limits<std::int64_t>::max();
    const auto bytes = [&](std::uint64_t blocks) -> std::optional<std::int64_t> {
        if (disk.f_frsize == 0 || blocks > most / disk.f_frsize) return std::nullopt;
        return static_cast<std::int64_t>(blocks * disk.f_frsize);
    };
    const auto all = bytes(disk.f_blocks);
    const auto available = bytes(disk.f_bavail);
    if (!all || !available || *all == 0) return std::nullopt;  // /proc and its like have no size
    return DiskSpace{*all, *available};
}

std::optional<std::uint32_t> firmware_throttled() {
    const Descriptor device(::open("/dev/vcio", O_RDWR | O_CLOEXEC | O_NONBLOCK));
    if (!device) return std::nullopt;
    constexpr auto property = _IOWR(100, 0, char*);  // IOCTL_MBOX_PROPERTY of the driver, vcio.c
    return ask_throttled([&](FirmwareMessage& message) {
        return ::ioctl(device.get(), property, message.data()) == 0;
    });
}

std::optional<bool> clock_is_set() {
    struct timex told {};
    const int state = ::adjtimex(&told);
    if (state < 0) return std::nullopt;  // forbidden here
    return state != TIME_ERROR && (told.status & STA_UNSYNC) == 0;
}

}  // namespace

MachineCalls real_machine_calls() {
    return {disk_space, firmware_throttled, clock_is_set};
}

std::optional<std::uint32_t> ask_throttled(const std::function<bool(FirmwareMessage&)>& exchange) {
    constexpr std::uint32_t get_throttled = 0x00030046;
    constexpr std::uint32_t answered = 0x80000000;
    // The value that is sent is a mask of the kept bits to clear: none of them.
    alignas(16) FirmwareMessage message{sizeof(FirmwareMessage), 0, get_throttled, 4, 0, 0, 0, 0};
    if (!exchange(message)) return std::nullopt;
    if (message[1] != answered || (message[4] & answered) == 0) return std::nullopt;
    return message[5];
}

}  // namespace rpic
