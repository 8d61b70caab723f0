#pragma once

#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

namespace rpic {

/// fdatasync(2) on a thread of its own, which is started when it is needed for the first time.
class DiskSync {
  public:
    DiskSync() = default;
    /// Waits for what was asked for.
    ~DiskSync();
    DiskSync(const DiskSync&) = delete;
    DiskSync& operator=(const DiskSync&) = delete;

    /// Syncs these descriptors and closes them. False, and nothing happens, while it is busy.
    bool start(std::vector<int>& descriptors);

  private:
    void work();

    std::thread thread_;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::vector<int> descriptors_;
    bool stop_ = false;
};

}  // namespace rpic
