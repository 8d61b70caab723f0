#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>

namespace rpic {

/// Work that waits for the disk, one at a time, on a thread of its own, which is started when it is
/// needed for the first time.
class DiskSync {
  public:
    using Work = std::function<int()>;  // 0, or the errno of what failed

    DiskSync() = default;
    /// Waits for what was asked for.
    ~DiskSync();
    DiskSync(const DiskSync&) = delete;
    DiskSync& operator=(const DiskSync&) = delete;

    /// False, and nothing happens, while it is busy or no thread can be started.
    bool start(Work work);
    bool busy() const;
    /// What the last work gave; told once.
    std::optional<int> take_result();

  private:
    bool start_thread();
    void work();

    std::thread thread_;
    mutable std::mutex mutex_;
    std::condition_variable changed_;
    Work work_;
    std::optional<int> result_;
    bool stop_ = false;
    bool told_ = false;  // that there is no thread
};

}  // namespace rpic
