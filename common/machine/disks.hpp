#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "common/clock.hpp"
#include "common/machine/file_tree.hpp"
#include "common/machine/machine_calls.hpp"

namespace rpic {

/// The file systems that a node works on: that of its state folder, and the root.
class Disks {
  public:
    struct Reading {
        std::optional<std::int64_t> bytes;  // of the one with the state folder
        std::optional<std::int64_t> free_bytes;
        std::optional<bool> read_only;       // one of both, on a disk; see read()
        std::optional<std::int64_t> errors;  // that ext4 has counted, on all disks (ext4(5))
    };

    explicit Disks(std::string folder) : folder_(std::move(folder)) {}

    /// "Read-only" is what the kernel makes of a disk that fails, so it is asked of the file system
    /// and not of the mount: a service manager shows us writable disks as read-only ones, and a
    /// container's root that is meant to be read-only is no disk. Null where neither is on a disk.
    Reading read(const FileTree& tree, const MachineCalls& calls, Instant now);

  private:
    void look(const FileTree& tree);

    std::string folder_;
    std::optional<Instant> looked_;
    std::optional<bool> read_only_;
    std::optional<std::int64_t> errors_;
};

}  // namespace rpic
