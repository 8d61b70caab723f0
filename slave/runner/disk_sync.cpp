#include "slave/runner/disk_sync.hpp"

#include <csignal>
#include <system_error>
#include <utility>

#include "slave/runner/runner_log.hpp"

namespace rpic {

DiskSync::~DiskSync() {
    {
        const std::lock_guard lock(mutex_);
        stop_ = true;
    }
    changed_.notify_one();
    if (thread_.joinable()) thread_.join();
}

bool DiskSync::start(Work work) {
    const std::lock_guard lock(mutex_);
    if (work_) return false;
    if (!thread_.joinable() && !start_thread()) return false;
    work_ = std::move(work);
    changed_.notify_one();
    return true;
}

bool DiskSync::start_thread() {
    // Signals are the loop's: none may be delivered here.
    sigset_t all, before;
    sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before);
    try {
        thread_ = std::thread([this] { work(); });
    } catch (const std::system_error& error) {
        // Some limit of processes is reached, perhaps by the tasks: a later try may find room.
        if (!std::exchange(told_, true))
            note(
                "how tasks have ended does not reach the disk for now: no thread can be started: " +
                error.code().message() +
                "; see the limits of processes (ulimit -u, TasksMax=, --pids-limit)");
    }
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    return thread_.joinable();
}

bool DiskSync::busy() const {
    const std::lock_guard lock(mutex_);
    return static_cast<bool>(work_);
}

std::optional<int> DiskSync::take_result() {
    const std::lock_guard lock(mutex_);
    return std::exchange(result_, std::nullopt);
}

void DiskSync::work() {
    std::unique_lock lock(mutex_);
    for (;;) {
        changed_.wait(lock, [this] { return stop_ || work_; });
        if (!work_) return;
        lock.unlock();
        const int result = work_();  // nobody else touches it while it is there
        lock.lock();
        work_ = nullptr;
        result_ = result;
    }
}

}  // namespace rpic
