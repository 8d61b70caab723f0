#include "slave/runner/spawn.hpp"

#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>

namespace rpic {

namespace {

// The 16-bit calls of old 32-bit architectures have the short names there.
#ifdef SYS_setresuid32
constexpr long set_user = SYS_setresuid32;
constexpr long set_group = SYS_setresgid32;
constexpr long set_groups = SYS_setgroups32;
#else
constexpr long set_user = SYS_setresuid;
constexpr long set_group = SYS_setresgid;
constexpr long set_groups = SYS_setgroups;
#endif

/// All that the child needs, made ready before it exists: it runs in its parent's memory, where it
/// must neither allocate nor take a lock. It answers through `step` and `error`.
struct Plan {
    const SpawnRequest* request = nullptr;
    std::vector<std::string> candidates;  // files that the command may be
    std::vector<char*> arguments;         // one place free in front, for a shell
    std::vector<char*> environment;
    std::vector<gid_t> groups;
    char score[16] = {};
    std::size_t score_size = 0;
    pid_t parent = 0;
    char head[128] = {};  // of a file that is no program
    SpawnStep step = SpawnStep::fork;
    int error = 0;
    std::size_t candidate = 0;  // that `error` is about
    bool there = false;         // it exists
};

/// glibc's wrappers of the calls that change the user signal every thread of the process, which
/// here are the parent's: hence raw calls.
bool become_user(const Plan& plan) {
    const auto& request = *plan.request;
    if (request.uid < 0) return true;
    if (::syscall(set_groups, plan.groups.size(), plan.groups.data()) != 0) return false;
    if (request.gid >= 0 && ::syscall(set_group, request.gid, request.gid, request.gid) != 0)
        return false;
    return ::syscall(set_user, request.uid, request.uid, request.uid) == 0;
}

void raise_score(const Plan& plan) {
    const int file = ::open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (file < 0) return;  // the kernel then treats it as any process
    [[maybe_unused]] const auto written = ::write(file, plan.score, plan.score_size);
    ::close(file);
}

void set_limits(const SpawnRequest& request) {
    if (request.open_files.rlim_max > 0) ::setrlimit(RLIMIT_NOFILE, &request.open_files);
    if (request.processes == 0) return;
    rlimit processes{};
    if (::getrlimit(RLIMIT_NPROC, &processes) != 0) return;
    if (processes.rlim_max > request.processes) processes.rlim_max = request.processes;
    if (processes.rlim_cur > processes.rlim_max) processes.rlim_cur = processes.rlim_max;
    ::setrlimit(RLIMIT_NPROC, &processes);
}

/// Whether a file without a known format is text, which a shell may understand.
bool is_text(Plan& plan, const char* file) {
    const int descriptor = ::open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (descriptor < 0) return false;
    const auto size = ::read(descriptor, plan.head, sizeof plan.head);
    ::close(descriptor);
    if (size <= 0) return size == 0;
    if (size >= 4 && std::memcmp(plan.head, "\177ELF", 4) == 0) return false;
    return std::memchr(plan.head, 0, static_cast<std::size_t>(size)) == nullptr;
}

/// Returns only if no candidate could be executed.
void execute(Plan& plan) {
    char** arguments = plan.arguments.data() + 1;
    int found = 0;  // why one that is there was not executed: reported if no other can be
    for (std::size_t index = 0; index < plan.candidates.size(); ++index) {
        const char* file = plan.candidates[index].c_str();
        ::execve(file, arguments, plan.environment.data());
        int error = errno;
        if (error == ENOEXEC && is_text(plan, file)) {
            static char shell[] = "/bin/sh";
            plan.arguments[0] = shell;
            plan.arguments[1] = const_cast<char*>(file);
            ::execve(shell, plan.arguments.data(), plan.environment.data());
            error = errno;
        }
        // A file that is there, but not what it names as its interpreter, is not an absent one.
        const bool absent = (error == ENOENT || error == ENOTDIR) && ::access(file, F_OK) != 0;
        if (absent) continue;
        if (found == 0) plan.candidate = index;
        found = found == 0 ? error : found;
        if (error != EACCES) break;
    }
    plan.error = found == 0 ? ENOENT : found;
    plan.there = found != 0;
}

int child(void* argument) {
    auto& plan = *static_cast<Plan*>(argument);
    const auto& request = *plan.request;
    ::setsid();
    if (plan.score_size > 0) raise_score(plan);
    set_limits(request);
    plan.step = SpawnStep::user;
    bool good = request.group_entry < 0 || ::write(request.group_entry, "0", 1) == 1;
    if (good && !request.folder.empty()) {
        plan.step = SpawnStep::folder;
        good = ::chdir(request.folder.c_str()) == 0;
    }
    if (good) {
        plan.step = SpawnStep::user;
        good = become_user(plan);
    }
    if (good) {
        // After the change of user, which takes it back.
        ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
        if (::getppid() != plan.parent && ::getppid() != 0) ::_exit(0);
        ::dup2(request.input, 0);
        ::dup2(request.output, 1);
        ::dup2(request.error, 2);
#ifdef SYS_close_range
        ::syscall(SYS_close_range, 3U, ~0U, 0U);
#endif
        plan.step = SpawnStep::folder;
        good = ::chdir(request.cwd.c_str()) == 0;
    }
    if (!good) {
        plan.error = errno;
        ::_exit(127);
    }
    plan.step = SpawnStep::execute;
    struct sigaction standard {};
    standard.sa_handler = SIG_DFL;
    ::sigaction(SIGPIPE, &standard, nullptr);
    sigset_t none;
    sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    execute(plan);
    ::_exit(127);
}

alignas(64) char child_stack[128 * 1024];
constexpr std::uint64_t child_flags = CLONE_VM | CLONE_VFORK;

/// clone3(2) with a stack, which glibc does not offer: the one call that gives birth to a process
/// inside a cgroup. Moving it there later takes the kernel milliseconds.
long clone_into([[maybe_unused]] int group, [[maybe_unused]] Plan& plan) {
#if defined(CLONE_INTO_CGROUP) && defined(SYS_clone3) && \
    (defined(__x86_64__) || defined(__aarch64__) || (defined(__arm__) && !defined(__thumb__)))
    clone_args arguments{};
    arguments.flags = child_flags | CLONE_INTO_CGROUP;
    arguments.exit_signal = SIGCHLD;
    arguments.stack = reinterpret_cast<std::uintptr_t>(child_stack);
    arguments.stack_size = sizeof child_stack;
    arguments.cgroup = static_cast<std::uint64_t>(group);
#if defined(__x86_64__)
    register long result __asm__("rax") = SYS_clone3;
    register void* first __asm__("rdi") = &arguments;
    register std::size_t second __asm__("rsi") = sizeof arguments;
    register int (*start)(void*) __asm__("r12") = child;
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
    register int (*start)(void*) __asm__("x20") = child;
    register void* with __asm__("x21") = &plan;
    __asm__ volatile("svc #0\n\tcbnz x0, 1f\n\tmov x29, xzr\n\tmov x0, x21\n\tblr x20\n\tbrk #0\n1:"
                     : "+r"(first)
                     : "r"(number), "r"(second), "r"(start), "r"(with)
                     : "memory", "cc", "x30");
    const long result = reinterpret_cast<long>(first);
#else
    register void* first __asm__("r0") = &arguments;
    register std::size_t second __asm__("r1") = sizeof arguments;
    register int (*start)(void*) __asm__("r4") = child;
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

Spawned spawn(const SpawnRequest& request) {
    Plan plan;
    plan.request = &request;
    plan.parent = ::getpid();
    plan.candidates = candidates_of(request);
    plan.arguments.push_back(nullptr);
    for (const auto& word : request.command)
        plan.arguments.push_back(const_cast<char*>(word.c_str()));
    plan.arguments.push_back(nullptr);
    for (const auto& word : request.env)
        plan.environment.push_back(const_cast<char*>(word.c_str()));
    plan.environment.push_back(nullptr);
    for (const auto group : request.groups) plan.groups.push_back(static_cast<gid_t>(group));
    if (request.out_of_memory_score != 0) {
        const auto score = std::to_string(request.out_of_memory_score);
        plan.score_size = score.copy(plan.score, sizeof plan.score);
    }
    // No handler of ours may run in the child, which shares our memory.
    sigset_t all, before;
    sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before);
    long pid = request.group >= 0 ? clone_into(request.group, plan) : -1;
    if (request.group < 0)
        pid = ::clone(child, child_stack + sizeof child_stack,
                      static_cast<int>(child_flags) | SIGCHLD, &plan);
    const int error = errno;
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    Spawned result;
    if (pid < 0) {
        result.error = error;
        return result;
    }
    // A child that was killed before it got so far is not told from one that runs, and need not be.
    if (plan.error == 0) {
        result.pid = static_cast<pid_t>(pid);
        return result;
    }
    ::waitpid(static_cast<pid_t>(pid), nullptr, 0);
    result.step = plan.step;
    result.error = plan.error;
    if (plan.there) result.file = plan.candidates[plan.candidate];
    return result;
}

}  // namespace rpic
