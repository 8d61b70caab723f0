#include "slave/files/file_cache.hpp"

#include <sys/statvfs.h>

#include <algorithm>
#include <optional>
#include <tuple>

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

/// What nobody needs goes until that much of the disk is free that was not: what is left of
/// fetches, then the longest unused. False if nothing could go.
bool free_bytes(BlobStore& store, std::int64_t bytes, const std::set<std::string>& needed) {
    const auto before = store.bytes();
    store.drop_partials_except(needed);
    auto blobs = store.list();
    std::sort(blobs.begin(), blobs.end(), [](const auto& a, const auto& b) {
        return std::tie(a.used_at, a.blob) < std::tie(b.used_at, b.blob);
    });
    for (const auto& info : blobs) {
        if (before - store.bytes() >= bytes) break;
        if (!needed.contains(info.blob)) store.remove(info.blob);
    }
    return store.bytes() < before;
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

asio::awaitable<FileCache::Pins> FileCache::hold(std::vector<std::string> blobs, Wanted wanted) {
    // Pinned before anybody looks: what is found is not evicted before it is used.
    Pins pins(*this);
    for (const auto& blob : blobs) pins.add(blob);
    auto look = [&store = blobs_, names = std::move(blobs)] { return store.missing(names); };
    const auto missing = co_await files_.run(std::move(look));
    for (const auto& blob : missing) co_await bring(blob, wanted);
    if (!missing.empty()) co_await make_room();
    co_return pins;
}

/// One who wants what another brings already waits for him, and takes over if he gives up.
asio::awaitable<void> FileCache::bring(std::string blob, Wanted wanted) {
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
            co_await bring(blob, wanted);
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
    co_await fetch(blob, wanted);
}

/// On a full disk, again while there is something that can go for it.
asio::awaitable<void> FileCache::fetch(std::string blob, Wanted wanted) {
    std::optional<FileError> failure;
    for (bool again = true; again;) {
        failure.reset();
        again = false;
        try {
            co_await bulk_.fetch(blobs_, blob, wanted);
        } catch (const FileError& error) {
            failure = error;
        }
        if (failure && failure->code == "full") again = co_await free_space(failure->short_bytes);
    }
    if (!failure) co_return;
    // What did not come whole keeps no room, unless somebody else is about to go on with it.
    const bool others = pinned_.at(blob) > 1;
    auto drop = [&store = blobs_, blob] { store.drop_partial(blob); };
    if (!others) co_await files_.run(std::move(drop));
    throw *failure;
}

std::set<std::string> FileCache::pinned() const {
    std::set<std::string> names;
    for (const auto& [blob, count] : pinned_) names.insert(blob);
    return names;
}

/// The bound may be exceeded by what is in use.
asio::awaitable<void> FileCache::make_room() {
    auto evict = [&store = blobs_, folder = folder_, most = max_bytes_, names = pinned()] {
        store.evict(most > 0 ? most : default_size(folder), names, Clock::now());
    };
    co_await files_.run(std::move(evict));
}

asio::awaitable<bool> FileCache::free_space(std::int64_t bytes) {
    auto work = [&store = blobs_, bytes, names = pinned()] {
        // How much is not always known; one file less is better than none.
        return free_bytes(store, std::max<std::int64_t>(bytes, 1), names);
    };
    const bool freed = co_await files_.run(std::move(work));
    co_return freed;
}

}  // namespace rpic
