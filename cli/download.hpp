#pragma once

#include <string>
#include <vector>

#include "cli/upload.hpp"
#include "common/manifest.hpp"

/// Files on their way from the master. All throw FileError, or what Client throws.
namespace rpic {

struct Downloaded {
    std::int64_t files = 0;
    std::int64_t bytes = 0;
    std::vector<std::string> replaced;  // paths of files that were there before with other contents
};

/// Brings the files of a manifest into a folder, which is made if it is not there. Each file is
/// there whole or not at all, and checked; what is there already with the right contents does not
/// travel; an interrupted file goes on where it was. Nothing outside the folder is touched,
/// whatever links it holds.
Downloaded download_manifest(Client& client, const std::string& blob, const std::string& folder,
                             const OnProgress& progress = {});

/// The files that a manifest lists.
Manifest download_list(Client& client, const std::string& blob);

/// All of a blob that is at most `max_bytes`, checked.
std::string download_bytes(Client& client, const std::string& blob, std::size_t max_bytes);

}  // namespace rpic
