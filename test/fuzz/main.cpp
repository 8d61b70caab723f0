#include <time.h>

#include <cstdint>

#include "test/fuzz/targets.hpp"

// One program for each target: FUZZ_TARGET is its function.

namespace {

/// Nothing that a stranger sends may keep a loop busy for longer than this, sanitizers included.
constexpr std::int64_t longest_ns = 100'000'000;

/// Of this thread alone, because the machine may have other work.
std::int64_t cpu_time_ns() {
    timespec time{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return time.tv_sec * std::int64_t{1'000'000'000} + time.tv_nsec;
}

}  // namespace

/// What libFuzzer calls.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto begun = cpu_time_ns();
    rpic::fuzz::FUZZ_TARGET({reinterpret_cast<const char*>(data), size});
    rpic::fuzz::expect(cpu_time_ns() - begun < longest_ns, "an input that takes over 100 ms");
    return 0;
}
