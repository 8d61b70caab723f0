#pragma once

#include <filesystem>
#include <string>

namespace rpic {

/// Name of a runner's folder that is the same for all runners it ever has and that no other folder
/// shares: random, kept in the file `folder`/id. Throws ConfigError.
std::string folder_id(const std::filesystem::path& folder);

/// /proc/sys/kernel/random/boot_id: another one means that everything that ran is gone.
std::string boot_id();

/// Kills every process whose marker begins with `id`, and what descends from it. Returns how many
/// were seen. Takes at most a few seconds.
std::size_t kill_leftovers(const std::string& id);

}  // namespace rpic
