#pragma once

#include <boost/asio/awaitable.hpp>
#include <optional>
#include <string>

#include "common/blob_store.hpp"
#include "common/connection.hpp"
#include "common/file_thread.hpp"
#include "common/messages.hpp"

namespace rpic {

/// Where blobs are handed in and out: answers the requests of one peer about blobs, the result or
/// `failed`, as fast as the peer reads. Who may ask is for the caller to judge. Needs a connection
/// that takes raw tails of limits::chunk_bytes.
class BlobDesk {
  public:
    /// What is put leaves `keep_free_bytes` of the disk free, or what the store says.
    BlobDesk(FileThread& files, BlobStore& blobs, Connection& connection,
             std::optional<std::int64_t> keep_free_bytes = std::nullopt)
        : files_(files),
          blobs_(blobs),
          connection_(connection),
          keep_free_bytes_(keep_free_bytes) {}

    asio::awaitable<void> serve(HaveBlobs request);
    /// `bytes` is the raw tail of the frame.
    asio::awaitable<void> serve(PutChunk request, std::string bytes);
    asio::awaitable<void> serve(GetChunk request);

  private:
    asio::awaitable<void> room();
    void fail(std::int64_t id, const FileError& error);

    FileThread& files_;
    BlobStore& blobs_;
    Connection& connection_;
    std::optional<std::int64_t> keep_free_bytes_;
};

}  // namespace rpic
