#pragma once

#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

namespace rpic {

/// Whether raw_call() below leaves errno alone, so that a child that runs in our memory, beside us
/// and with our thread-local variables, may use it.
#if defined(__x86_64__) || defined(__aarch64__)
inline constexpr bool raw_calls_keep_errno = true;
#else
inline constexpr bool raw_calls_keep_errno = false;
#endif

/// A system call (syscall(2)) by the kernel's own convention: a result, or minus an error number.
/// Arguments are numbers, or addresses by to_word().
__attribute__((no_sanitize("address", "undefined"))) inline long raw_call(
    long number, long first = 0, long second = 0, long third = 0, long fourth = 0) {
#if defined(__x86_64__)
    register long last __asm__("r10") = fourth;
    long result = number;
    __asm__ volatile("syscall"
                     : "+a"(result)
                     : "D"(first), "S"(second), "d"(third), "r"(last)
                     : "rcx", "r11", "memory");
    return result;
#elif defined(__aarch64__)
    register long call __asm__("x8") = number;
    register long result __asm__("x0") = first;
    register long x1 __asm__("x1") = second;
    register long x2 __asm__("x2") = third;
    register long x3 __asm__("x3") = fourth;
    __asm__ volatile("svc #0" : "+r"(result) : "r"(call), "r"(x1), "r"(x2), "r"(x3) : "memory");
    return result;
#else
    const long result = ::syscall(number, first, second, third, fourth);
    return result < 0 ? -errno : result;
#endif
}

inline long to_word(const void* thing) {
    return reinterpret_cast<long>(thing);
}

}  // namespace rpic
