#pragma once

#include <string>
#include <vector>

#include "common/descriptor.hpp"
#include "common/manifest.hpp"

namespace rpic {

/// A file of the user that is to travel, and where its contents are. `entry.blob` is set by
/// hash_file().
struct ScannedFile {
    ManifestEntry entry;
    std::string source;  // as the kernel takes it; empty for folders and links
};

/// The files that somebody names with --in. A relative path keeps its path, an absolute one (and
/// one that leads upwards) lands under its base name, a folder comes with all that is in it, "." is
/// what is in this folder. Relative symbolic links that stay inside of what was named are kept;
/// others are followed if they lead to a file. Throws FileError which names the path: not there,
/// not readable, a socket, device or pipe, a link to a folder elsewhere, two files for one place,
/// more than limits::manifest_entries.
std::vector<ScannedFile> scan_files(const std::vector<std::string>& paths);

/// Reads a file to know its blob and size. Throws FileError `conflict` if it changes meanwhile.
void hash_file(ScannedFile& file);

/// Opens the source for reading. Throws FileError.
Descriptor open_source(const ScannedFile& file);

}  // namespace rpic
