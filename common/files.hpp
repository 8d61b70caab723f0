#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

/// Files that matter: read with a bound, written whole or not at all, secrets for their owner
/// alone.
namespace rpic {

/// Contents of a file; nothing if there is none. Throws ConfigError if it cannot be read or is
/// larger than `max_bytes`.
std::optional<std::string> read_file_if_there(const std::filesystem::path& path,
                                              std::size_t max_bytes);

/// Replaces a file by another of mode 0600: after a power cut it holds the old text or the new one,
/// never a part (write, fsync, rename, fsync of the folder). Throws ConfigError.
void write_secret(const std::filesystem::path& path, std::string_view text);

/// The key in a file that holds nothing else, in its canonical form (keys.hpp); empty if there is
/// no such file. Throws ConfigError if what it holds is no key.
std::string read_key_file(const std::filesystem::path& path);

/// Makes a folder of mode 0700, and its parents; one that is there already and that others can list
/// or change becomes 0700 too, unless it is shared (sticky, as /tmp is). Throws ConfigError if that
/// cannot be, or if nothing can be written there.
void make_private_folder(const std::filesystem::path& folder);

/// The state directory: the one given, else /var/lib/rpicluster for root, else
/// $XDG_STATE_HOME/rpicluster, else ~/.local/state/rpicluster.
std::filesystem::path state_dir(const std::string& given);

/// flock(2) on a file, held until destruction or the end of the process; the file itself stays. A
/// lock cannot be stale: the kernel drops it with its owner.
class FolderLock {
  public:
    /// Takes the lock `folder`/lock at once; throws AlreadyRunningError naming the owner's process
    /// id if it is held.
    FolderLock(const std::filesystem::path& folder, std::string_view what);
    ~FolderLock();
    FolderLock(const FolderLock&) = delete;
    FolderLock& operator=(const FolderLock&) = delete;

  private:
    int descriptor_;
};

}  // namespace rpic
