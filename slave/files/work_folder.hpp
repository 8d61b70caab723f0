#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "common/beneath.hpp"
#include "slave/files/file_cache.hpp"

/// What is in the private folder of an attempt (work_folders.hpp). `owner` is the task's user. All
/// throw FileError, `unwanted` when nobody wants it any more.
namespace rpic {

/// Puts the files of manifests (blobs) there, later ones over earlier ones; copies that share their
/// bytes with the cache where the file system can do that, never hard links.
asio::awaitable<void> place_inputs(FileThread& files, FileCache& cache,
                                   std::filesystem::path folder, std::vector<std::string> manifests,
                                   Owner owner, Wanted wanted);

struct Collected {
    std::string manifest;  // the blob, which the master has; empty if nothing matched
    std::int64_t files = 0;
    std::int64_t bytes = 0;
    std::vector<std::string> left_out;  // in words, what matched and cannot be read or travel
};
/// Sends what matches the globs of --out to the master. What the task changes meanwhile (it should
/// have ended) is an error or left out.
asio::awaitable<Collected> collect_outputs(FileThread& files, BulkLink& bulk,
                                           std::filesystem::path folder,
                                           std::vector<std::string> globs, Owner owner,
                                           Wanted wanted);

/// Finds out which blob a file is, and its size, without copying it. `name` is for people.
struct HashedFile {
    std::string blob;
    std::int64_t size = 0;
};
asio::awaitable<HashedFile> hash_file(FileThread& files, std::shared_ptr<Descriptor> file,
                                      std::string name, Wanted wanted);

/// Removes a folder and all that the task has left in it.
asio::awaitable<void> remove_folder(FileThread& files, std::filesystem::path folder);

}  // namespace rpic
