#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/client.hpp"
#include "common/blob_store.hpp"

/// Files on their way to the master. What it has does not travel. All throw FileError, or what
/// Client throws.
namespace rpic {

/// How far a transfer has come. Called a few times a second.
struct TransferProgress {
    std::int64_t files_done = 0;
    std::int64_t files = 0;
    std::int64_t bytes_done = 0;
    std::int64_t bytes = 0;
};
using OnProgress = std::function<void(const TransferProgress&)>;

/// The files that --in names (file_scan.hpp); gives the blob of their manifest.
std::string upload_paths(Client& client, const std::vector<std::string>& paths,
                         const OnProgress& progress = {});

/// One file; gives its blob.
std::string upload_file(Client& client, const std::string& path, const OnProgress& progress = {});

/// What is in memory already; gives its blob.
std::string upload_bytes(Client& client, std::string_view bytes);

/// Everything that comes from a descriptor, a pipe for example, by way of a temporary file; gives
/// its blob.
std::string upload_stream(Client& client, int descriptor, const OnProgress& progress = {});

}  // namespace rpic
