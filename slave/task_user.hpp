#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace rpic {

/// Whom tasks run as.
struct TaskUser {
    std::string name;                  // for USER and LOGNAME
    std::int64_t uid = -1;             // -1: the user of this process
    std::int64_t gid = -1;             // likewise
    std::vector<std::int64_t> groups;  // further ones

    /// Whether tasks cannot touch what belongs to the slave.
    bool isolated() const { return uid > 0; }

    /// Whether this user can get to a folder by its full name: every folder above lets it pass.
    bool can_reach(const std::filesystem::path& folder) const;
};

/// The user with this name and these further groups. Without a name: rpicluster-task if there is
/// such a user, else nobody; in a process that is not root's, its own user, since it cannot start
/// anything as another one. Throws ConfigError.
TaskUser find_task_user(const std::string& name, const std::vector<std::string>& groups);

}  // namespace rpic
