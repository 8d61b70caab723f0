#include "slave/runner/spawn.hpp"

#include <linux/sched.h>
#include <sched.h>
#include <signal.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>

#include "slave/runner/raw_call.hpp"
#include "slave/runner/spawn_child.hpp"

namespace rpic {

namespace {

// The call for 32-bit ARM is written in its own instructions, not in the short ones (Thumb), which
// Debian's compiler for ARMv7 makes by itself.
#if defined(__arm__) && defined(__thumb__) && !defined(__clang__)
#define RPIC_LONG_INSTRUCTIONS __attribute__((target("arm"), noinline))
#else
#define RPIC_LONG_INSTRUCTIONS
#endif

/// clone3(2) with a stack, which glibc does not offer: the one call that gives birth to a process
/// inside a cgroup. Moving it there later takes the kernel milliseconds.
RPIC_LONG_INSTRUCTIONS long clone_into([[maybe_unused]] std::uint64_t flags,
                                       [[maybe_unused]] SpawnPlan& plan) {
#if defined(CLONE_INTO_CGROUP) && defined(SYS_clone3) && \
    (defined(__x86_64__) || defined(__aarch64__) || defined(__arm__))
    clone_args arguments{};
    arguments.flags = flags | CLONE_INTO_CGROUP;
    arguments.child_tid = reinterpret_cast<std::uintptr_t>(&plan.inside);
    arguments.exit_signal = SIGCHLD;
    arguments.stack = reinterpret_cast<std::uintptr_t>(plan.stack);
    arguments.stack_size = sizeof plan.stack;
    arguments.cgroup = static_cast<std::uint64_t>(plan.request.group);
#if defined(__x86_64__)
    register long result __asm__("rax") = SYS_clone3;
    register void* first __asm__("rdi") = &arguments;
    register std::size_t second __asm__("rsi") = sizeof arguments;
    register int (*start)(void*) __asm__("r12") = run_child;
    register void* with __asm__("r13") = &plan;
    __asm__ volatile(
        "syscall\n\ttest %%rax, %%rax\n\tjnz 1f\n\txor %%ebp, %%ebp\n\tmov %%r13, %%rdi\n\t"
        "call *%%r12\n\thlt\n1:"
        : "+r"(result)
        : "r"(first), "r"(second), "r"(start), "r"(with)
        : "rcx", "r11", "memory", "cc");
#elif defined(__aarch64__)
    register long number __asm__("x8") = SYS_clone3;
    register void* first __asm__("x0") = &arguments;
    register std::size_t second __asm__("x1") = sizeof arguments;
    register int (*start)(void*) __asm__("x20") = run_child;
    register void* with __asm__("x21") = &plan;
    __asm__ volatile("svc #0\n\tcbnz x0, 1f\n\tmov x29, xzr\n\tmov x0, x21\n\tblr x20\n\tbrk #0\n1:"
                     : "+r"(first)
                     : "r"(number), "r"(second), "r"(start), "r"(with)
                     : "memory", "cc", "x30");
    const long result = reinterpret_cast<long>(first);
#else
    register void* first __asm__("r0") = &arguments;
    register std::size_t second __asm__("r1") = sizeof arguments;
    register void* start __asm__("r4") = reinterpret_cast<void*>(run_child);
    register void* with __asm__("r5") = &plan;
    register long number __asm__("r7") = SYS_clone3;
    __asm__ volatile(
        "svc #0\n\tcmp r0, #0\n\tbne 1f\n\tmov r0, r5\n\tmov lr, pc\n\tbx r4\n\tudf #0\n1:"
        : "+r"(first)
        : "r"(second), "r"(start), "r"(with), "r"(number)
        : "memory", "cc", "lr");
    const long result = reinterpret_cast<long>(first);
#endif
    if (result >= 0) return result;
    errno = static_cast<int>(-result);
#else
    errno = ENOSYS;
#endif
    return -1;
}

/// The child of the plan, or -1 and errno.
long clone_child(std::uint64_t flags, SpawnPlan& plan) {
    plan.inside = 1;
    long pid = -1;
    if (plan.request.group >= 0)
        pid = clone_into(flags, plan);
    else
        pid = ::clone(run_child, plan.stack + sizeof plan.stack, static_cast<int>(flags) | SIGCHLD,
                      &plan, nullptr, nullptr, &plan.inside);
    // One that was waited for has left, also where it got memory of its own (an emulator).
    if (pid < 0 || (flags & CLONE_VFORK) != 0) plan.inside = 0;
    return pid;
}

std::vector<std::string> candidates_of(const SpawnRequest& request) {
    const auto& name = request.command.front();
    if (name.empty()) return {};
    if (name.find('/') != std::string::npos) return {name};
    std::vector<std::string> candidates;
    std::size_t begin = 0;
    while (begin <= request.path.size()) {
        const auto end = std::min(request.path.find(':', begin), request.path.size());
        const auto folder = request.path.substr(begin, end - begin);
        candidates.push_back((folder.empty() ? "." : folder) + "/" + name);
        begin = end + 1;
    }
    return candidates;
}

}  // namespace

Spawning::Spawning(SpawnRequest request) : plan_(new SpawnPlan) {
    plan_->request = std::move(request);
    const auto& wanted = plan_->request;
    plan_->parent = ::getpid();
    plan_->candidates = candidates_of(wanted);
    plan_->arguments.push_back(nullptr);
    for (const auto& word : wanted.command)
        plan_->arguments.push_back(const_cast<char*>(word.c_str()));
    plan_->arguments.push_back(nullptr);
    for (const auto& word : wanted.env)
        plan_->environment.push_back(const_cast<char*>(word.c_str()));
    plan_->environment.push_back(nullptr);
    for (const auto group : wanted.groups) plan_->groups.push_back(static_cast<gid_t>(group));
}

Spawning::~Spawning() {
    if (!over()) static_cast<void>(plan_.release());
}

pid_t Spawning::begin() {
    // Emulators know a child in our memory only if we wait for it.
    static bool beside_us = raw_calls_keep_errno;
    constexpr std::uint64_t common = CLONE_VM | CLONE_CHILD_CLEARTID;
    if (beside_us && !plan_->request.wait) {
        const long pid = clone_child(common, *plan_);
        if (pid >= 0 || errno != EINVAL) return static_cast<pid_t>(pid);
        beside_us = false;
    }
    return static_cast<pid_t>(clone_child(common | CLONE_VFORK, *plan_));
}

bool Spawning::over() const {
    return plan_->inside == 0;
}

std::optional<SpawnFailure> Spawning::failure() const {
    if (!over() || plan_->error == 0) return std::nullopt;
    SpawnFailure failure;
    failure.step = plan_->step;
    failure.error = plan_->error;
    if (plan_->there) failure.file = plan_->candidates[plan_->candidate];
    return failure;
}

const SpawnRequest& Spawning::request() const {
    return plan_->request;
}

}  // namespace rpic
