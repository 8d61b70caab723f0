#include "slave/runner/disk_sync.hpp"

#include <csignal>
#include <utility>

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
    if (!thread_.joinable()) {
        // Signals are the loop's: none may be delivered here.
        sigset_t all, before;
        sigfillset(&all);
        ::pthread_sigmask(SIG_SETMASK, &all, &before);
        thread_ = std::thread([this] { this->work(); });
        ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    }
    work_ = std::move(work);
    changed_.notify_one();
    return true;
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
