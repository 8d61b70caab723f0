#include "slave/files/file_cache.hpp"

#include <sys/statvfs.h>

#include <algorithm>

#include "common/limits.hpp"

namespace rpic {

namespace {

std::int64_t default_size(const std::filesystem::path& folder) {
    struct statvfs disk {};
    if (::statvfs(folder.c_str(), &disk) != 0) return limits::cache_bytes;
    const auto size =
        static_cast<std::int64_t>(disk.f_blocks) * static_cast<std::int64_t>(disk.f_frsize);
    return std::min(size / 10, limits::cache_bytes);
}

}  // namespace

FileCache::FileCache(std::filesystem::path folder, std::int64_t max_bytes,
                     const asio::any_io_executor& executor, FileThread& files, BulkLink& bulk)
    : folder_(folder),
      max_bytes_(max_bytes),
      files_(files),
      bulk_(bulk),
      blobs_(folder, limits::free_disk_bytes),
      changed_(executor) {}

FileCache::Pins::Pins(Pins&& other) noexcept
    : cache_(other.cache_), blobs_(std::move(other.blobs_)) {
    other.blobs_.clear();
}

FileCache::Pins::~Pins() {
    for (const auto& blob : blobs_) {
        const auto found = cache_->pinned_.find(blob);
        if (--found->second == 0) cache_->pinned_.erase(found);
    }
}

void FileCache::Pins::add(const std::string& blob) {
    blobs_.push_back(blob);
    ++cache_->pinned_[blob];
}

asio::awaitable<FileCache::Pins> FileCache::hold(std::vector<std::string> blobs) {
    // Pinned before anybody looks: what is found is not evicted before it is used.
    Pins pins(*this);
    for (const auto& blob : blobs) pins.add(blob);
    auto look = [&store = blobs_, names = std::move(blobs)] { return store.missing(names); };
    const auto missing = co_await files_.run(std::move(look));
    for (const auto& blob : missing) co_await bring(blob);
    if (!missing.empty()) co_await make_room();
    co_return pins;
}

/// One who wants what another brings already waits for him, and takes over if he gives up.
asio::awaitable<void> FileCache::bring(std::string blob) {
    auto seen = changed_.count();
    bool waited = false;
    while (under_way_.contains(blob)) {
        waited = true;
        seen = co_await changed_.wait(seen);
    }
    if (waited) {
        auto look = [&store = blobs_, blob] { return store.has(blob); };
        const bool here = co_await files_.run(std::move(look));
        if (here) co_return;
        if (under_way_.contains(blob)) {
            co_await bring(blob);
            co_return;
        }
    }
    struct UnderWay {
        FileCache& cache;
        const std::string& name;
        ~UnderWay() {
            cache.under_way_.erase(name);
            cache.changed_.notify();
        }
    };
    under_way_.insert(blob);
    const UnderWay guard{*this, blob};
    co_await bulk_.fetch(blobs_, blob);
}

/// The bound may be exceeded by what is in use.
asio::awaitable<void> FileCache::make_room() {
    std::set<std::string> pinned;
    for (const auto& [blob, count] : pinned_) pinned.insert(blob);
    auto evict = [&store = blobs_, folder = folder_, most = max_bytes_, names = std::move(pinned)] {
        store.evict(most > 0 ? most : default_size(folder), names, Clock::now());
    };
    co_await files_.run(std::move(evict));
}

}  // namespace rpic
