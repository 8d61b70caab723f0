#include "slave/runner/spawn_child.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>

#include "slave/runner/raw_call.hpp"

// Sanitizers and the C library know nothing of a child in our memory: neither is asked for anything
// here.
#define IN_CHILD __attribute__((no_sanitize("address", "undefined")))

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

/// What prlimit64(2) takes on every architecture.
struct Limit {
    std::uint64_t current = 0;
    std::uint64_t most = 0;
};

constexpr std::size_t signal_set_bytes = 8;  // the kernel's, of 64 signals

IN_CHILD long open_file(const char* path, int flags) {
    return raw_call(SYS_openat, AT_FDCWD, to_word(path), flags | O_CLOEXEC);
}

/// The calls of set*id in glibc signal every thread of the process, which here are the parent's:
/// one more reason for raw ones.
IN_CHILD long become_user(const SpawnPlan& plan) {
    const auto& request = plan.request;
    if (request.uid < 0) return 0;
    const auto uid = static_cast<long>(request.uid);
    const auto gid = static_cast<long>(request.gid);
    const auto count = static_cast<long>(plan.groups.size());
    long result = raw_call(set_groups, count, to_word(plan.groups.data()));
    if (result == 0 && gid >= 0) result = raw_call(set_group, gid, gid, gid);
    if (result == 0) result = raw_call(set_user, uid, uid, uid);
    return result;
}

IN_CHILD void set_limits(const SpawnRequest& request) {
    if (request.open_files.rlim_max > 0) {
        const Limit files{request.open_files.rlim_cur, request.open_files.rlim_max};
        raw_call(SYS_prlimit64, 0, RLIMIT_NOFILE, to_word(&files));
    }
    if (request.processes == 0) return;
    Limit processes;
    if (raw_call(SYS_prlimit64, 0, RLIMIT_NPROC, 0, to_word(&processes)) != 0) return;
    if (processes.most > request.processes) processes.most = request.processes;
    if (processes.current > processes.most) processes.current = processes.most;
    raw_call(SYS_prlimit64, 0, RLIMIT_NPROC, to_word(&processes));
}

/// As a signal's handler and as the set of those that are blocked; signals that the caller ignores
/// would stay ignored.
IN_CHILD void reset_signals() {
    const std::uint64_t nothing[8] = {};
    raw_call(SYS_rt_sigaction, SIGPIPE, to_word(nothing), 0, signal_set_bytes);
    raw_call(SYS_rt_sigprocmask, SIG_SETMASK, to_word(nothing), 0, signal_set_bytes);
}

/// Whether a file without a known format is text, which a shell may understand.
IN_CHILD bool is_text(SpawnPlan& plan, const char* file) {
    const long descriptor = open_file(file, O_RDONLY | O_NONBLOCK);
    if (descriptor < 0) return false;
    const long size = raw_call(SYS_read, descriptor, to_word(plan.head), sizeof plan.head);
    raw_call(SYS_close, descriptor);
    if (size <= 0) return size == 0;
    const char* head = plan.head;
    if (size >= 4 && head[0] == '\177' && head[1] == 'E' && head[2] == 'L' && head[3] == 'F')
        return false;
    for (long index = 0; index < size; ++index)
        if (head[index] == 0) return false;
    return true;
}

IN_CHILD long execute_file(const char* file, char** arguments, const SpawnPlan& plan) {
    return -raw_call(SYS_execve, to_word(file), to_word(arguments),
                     to_word(plan.environment.data()));
}

/// Returns only if no candidate could be executed.
IN_CHILD void execute(SpawnPlan& plan) {
    char** arguments = plan.arguments.data() + 1;
    long found = 0;  // why one that is there was not executed: reported if no other can be
    for (std::size_t index = 0; index < plan.candidates.size(); ++index) {
        const char* file = plan.candidates[index].c_str();
        long error = execute_file(file, arguments, plan);
        if (error == ENOEXEC && is_text(plan, file)) {
            static char shell[] = "/bin/sh";
            plan.arguments[0] = shell;
            plan.arguments[1] = const_cast<char*>(file);
            error = execute_file(shell, plan.arguments.data(), plan);
        }
        // A file that is there, but not what it names as its interpreter, is not an absent one.
        const bool absent = (error == ENOENT || error == ENOTDIR) &&
                            raw_call(SYS_faccessat, AT_FDCWD, to_word(file), 0) != 0;
        if (absent) continue;
        if (found == 0) plan.candidate = index;
        found = found == 0 ? error : found;
        if (error != EACCES) break;
    }
    plan.error = found == 0 ? ENOENT : static_cast<int>(found);
    plan.there = found != 0;
}

/// Everything before the program. False if that failed; `step` and `error` say what.
IN_CHILD bool prepare(SpawnPlan& plan) {
    const auto& request = plan.request;
    raw_call(SYS_setsid);
    set_limits(request);
    plan.step = SpawnStep::folder;
    long result = 0;
    if (!request.folder.empty()) result = raw_call(SYS_chdir, to_word(request.folder.c_str()));
    if (result == 0) {
        plan.step = SpawnStep::user;
        result = become_user(plan);
    }
    if (result == 0) {
        // After the change of user, which takes it back.
        raw_call(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL);
        const long parent = raw_call(SYS_getppid);
        if (parent != plan.parent && parent != 0) raw_call(SYS_exit_group, 0);
        raw_call(SYS_dup3, request.input, 0);
        raw_call(SYS_dup3, request.output, 1);
        raw_call(SYS_dup3, request.error, 2);
#ifdef SYS_close_range
        raw_call(SYS_close_range, 3, ~0U);
#endif
        plan.step = SpawnStep::folder;
        result = raw_call(SYS_chdir, to_word(request.cwd.c_str()));
    }
    plan.error = static_cast<int>(-result);
    return result == 0;
}

}  // namespace

IN_CHILD int run_child(void* argument) {
    auto& plan = *static_cast<SpawnPlan*>(argument);
    if (prepare(plan)) {
        plan.step = SpawnStep::execute;
        reset_signals();
        execute(plan);
    }
    raw_call(SYS_exit_group, 127);
    return 127;
}

}  // namespace rpic
