#pragma once

#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "slave/files/bulk_link.hpp"

namespace rpic {

/// Blobs that tasks of this node have needed: each travels once, and the ones that were not used
/// for the longest time make room for others, when they are too much or the disk is full. FOLDER is
/// the slave's own.
class FileCache {
  public:
    /// `max_bytes` 0: the default, 10 % of the disk and at most limits::cache_bytes.
    FileCache(std::filesystem::path folder, std::int64_t max_bytes,
              const asio::any_io_executor& executor, FileThread& files, BulkLink& bulk);

    /// Keeps blobs from being evicted for as long as it lives. The cache must outlive it.
    class Pins {
      public:
        explicit Pins(FileCache& cache) : cache_(&cache) {}
        ~Pins();
        Pins(Pins&& other) noexcept;
        Pins& operator=(Pins&&) = delete;
        void add(const std::string& blob);

      private:
        FileCache* cache_;
        std::vector<std::string> blobs_;
    };

    /// Brings blobs here that are not. Several who want the same one share its way, until none of
    /// them does any more. Throws FileError: `not_found`, `full`, `unwanted`.
    asio::awaitable<Pins> hold(std::vector<std::string> blobs, Wanted wanted);

    /// Where a blob is that is held.
    std::filesystem::path path_of(const std::string& blob) const { return blobs_.path_of(blob); }

    BlobStore& blobs() { return blobs_; }

  private:
    asio::awaitable<void> bring(std::string blob, Wanted wanted);
    asio::awaitable<void> fetch(std::string blob, Wanted wanted);
    asio::awaitable<void> make_room();
    /// Whether something could go.
    asio::awaitable<bool> free_space(std::int64_t bytes);
    std::set<std::string> pinned() const;

    std::filesystem::path folder_;
    std::int64_t max_bytes_;
    FileThread& files_;
    BulkLink& bulk_;
    BlobStore blobs_;
    std::map<std::string, int> pinned_;
    std::set<std::string> under_way_;
    Wakeup changed_;
};

}  // namespace rpic
