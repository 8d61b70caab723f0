#include "slave/runner/disk_sync.hpp"

#include <unistd.h>

#include <csignal>

namespace rpic {

DiskSync::~DiskSync() {
    {
        const std::lock_guard lock(mutex_);
        stop_ = true;
    }
    changed_.notify_one();
    if (thread_.joinable()) thread_.join();
}

bool DiskSync::start(std::vector<int>& descriptors) {
    {
        const std::lock_guard lock(mutex_);
        if (!descriptors_.empty()) return false;
        descriptors_.swap(descriptors);
    }
    if (!thread_.joinable()) {
        // Signals are the loop's: none may be delivered here.
        sigset_t all, before;
        sigfillset(&all);
        ::pthread_sigmask(SIG_SETMASK, &all, &before);
        thread_ = std::thread([this] { work(); });
        ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    }
    changed_.notify_one();
    return true;
}

void DiskSync::work() {
    std::unique_lock lock(mutex_);
    for (;;) {
        changed_.wait(lock, [this] { return stop_ || !descriptors_.empty(); });
        if (descriptors_.empty()) return;
        const auto descriptors = descriptors_;  // the others count as busy until it is done
        lock.unlock();
        for (const int each : descriptors) {
            ::fdatasync(each);
            ::close(each);
        }
        lock.lock();
        descriptors_.clear();
    }
}

}  // namespace rpic
