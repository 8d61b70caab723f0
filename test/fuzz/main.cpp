#include <time.h>

#include <algorithm>
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

/// What libFuzzer calls. A machine that shares its cores counts time that others took: an input is
/// slow only if it is so each time.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    auto shortest = longest_ns;
    for (int tries = 0; tries < 3 && shortest >= longest_ns; ++tries) {
        const auto begun = cpu_time_ns();
        rpic::fuzz::FUZZ_TARGET({reinterpret_cast<const char*>(data), size});
        shortest = std::min(shortest, cpu_time_ns() - begun);
    }
    rpic::fuzz::expect(shortest < longest_ns, "an input that takes over 100 ms");
    return 0;
}
