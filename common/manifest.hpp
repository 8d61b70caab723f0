#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/file_error.hpp"

namespace rpic {

/// One of the files that travel together: a file, a folder or a symbolic link.
struct ManifestEntry {
    std::string path;  // relative, parts divided by one '/'; any bytes but NUL
    int mode = 0644;   // permission bits alone; means nothing for a link
    std::int64_t size = 0;
    std::string blob;  // the contents of a file
    std::string link;  // where a link points to, relative to its folder
    bool folder = false;

    bool is_file() const { return !blob.empty(); }
    bool operator==(const ManifestEntry&) const = default;
};

/// A set of files, sorted by path (byte by byte). A file's parent folders need no entry of their
/// own. As a blob it is one line of JSON for each entry:
///
///     {"path":"data/a.txt","mode":420,"size":17,"blob":"9f86..."}
///     {"path":"data/empty","mode":493,"dir":true}
///     {"path":"data/newest","link":"a.txt"}
///
/// JSON knows UTF-8 alone: a path or link that is something else travels as the hex digits of its
/// bytes in "path_hex" or "link_hex".
struct Manifest {
    std::vector<ManifestEntry> entries;

    std::int64_t total_bytes() const;
    /// The contents of all files, each once, sorted.
    std::vector<std::string> blobs() const;
};

/// Throws FileError if it is too large.
std::string format_manifest(const Manifest& manifest);

/// From a stranger: throws FileError `bad_request` for everything that could leave the folder or
/// has two meanings: absolute paths, "..", empty parts, names twice or out of order, what lies
/// below a link or a file, links that lead out, sizes and modes out of range, too many entries.
Manifest parse_manifest(std::string_view text);

/// Sorts, and merges equal entries; throws FileError `conflict` naming the path if two entries want
/// to be different things at the same place.
void put_in_order(Manifest& manifest);

/// Why a path cannot be in a manifest, in words; empty if it can.
std::string path_problem(std::string_view path);

/// Whether a link at `path` that points to `target` stays below the folder `top` (empty: the folder
/// of the manifest) wherever other such links lead: some ".." first, then names.
bool link_stays_inside(std::string_view path, std::string_view target, std::string_view top = {});

}  // namespace rpic
