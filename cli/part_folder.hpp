#pragma once

#include <filesystem>
#include <optional>

#include "common/descriptor.hpp"

namespace rpic {

/// Where the files of one download are while they are not complete: `.rpicluster-part` in the
/// folder where they are to be, so that another download there goes on with what an interrupted one
/// has left. Of several at once each has its own (`.rpicluster-part-2` and so on): whoever holds
/// the flock(2) on the file `lock` in it. A lock cannot be stale: the kernel drops it with its
/// owner.
class PartFolder {
  public:
    /// Takes the first that nobody uses. Throws FileError: `conflict` if something else is in its
    /// place (one who could put a link there could choose what is written) or all are in use.
    explicit PartFolder(const std::filesystem::path& folder);

    const std::filesystem::path& path() const { return path_; }

    /// Removes it, and those that others have left behind.
    void remove();

  private:
    std::filesystem::path folder_;
    std::filesystem::path path_;
    Descriptor lock_;
};

}  // namespace rpic
