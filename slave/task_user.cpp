#include "slave/task_user.hpp"

#include <grp.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "common/errors.hpp"
#include "common/limits.hpp"
#include "common/text.hpp"

namespace rpic {

namespace {

/// The numbers that every system gives to the user who owns nothing.
constexpr std::int64_t nobody = 65534;

std::string own_name() {
    const auto* entry = ::getpwuid(::geteuid());
    return entry == nullptr ? std::to_string(::geteuid()) : entry->pw_name;
}

std::int64_t group_number(const std::string& name) {
    const auto* entry = ::getgrnam(name.c_str());
    if (entry == nullptr)
        throw ConfigError("bad value \"" + printable(name, limits::log_text_chars) +
                          "\" for task_groups: there is no such group on this machine");
    return static_cast<std::int64_t>(entry->gr_gid);
}

TaskUser from_entry(const passwd& entry) {
    TaskUser user;
    user.name = entry.pw_name;
    user.uid = static_cast<std::int64_t>(entry.pw_uid);
    user.gid = static_cast<std::int64_t>(entry.pw_gid);
    return user;
}

TaskUser first_known() {
    for (const auto* name : {"rpicluster-task", "nobody"})
        if (const auto* entry = ::getpwnam(name)) return from_entry(*entry);
    TaskUser user;  // a container without a list of users
    user.name = "nobody";
    user.uid = user.gid = nobody;
    return user;
}

}  // namespace

TaskUser find_task_user(const std::string& name, const std::vector<std::string>& groups) {
    const bool root = ::geteuid() == 0;
    TaskUser user;
    if (name.empty()) {
        if (root)
            user = first_known();
        else
            user.name = own_name();
    } else {
        const auto* entry = ::getpwnam(name.c_str());
        if (entry == nullptr)
            throw ConfigError("bad value \"" + printable(name, limits::log_text_chars) +
                              "\" for task_user: there is no such user on this machine; create it, "
                              "or name another one");
        user = from_entry(*entry);
        if (!root && entry->pw_uid != ::geteuid())
            throw ConfigError("tasks cannot run as " + name + ", because this slave runs as " +
                              own_name() + ": start it as root, or leave task_user out");
    }
    if (!root) user.uid = user.gid = -1;
    if (groups.size() > limits::task_groups)
        throw ConfigError("too many task_groups: expected at most " +
                          std::to_string(limits::task_groups));
    if (!root && !groups.empty())
        throw ConfigError("tasks cannot get task_groups, because this slave does not run as root");
    for (const auto& group : groups) user.groups.push_back(group_number(group));
    return user;
}

bool TaskUser::can_reach(const std::filesystem::path& folder) const {
    if (!isolated()) return true;
    for (auto above = folder; above.has_relative_path();) {
        above = above.parent_path();
        struct stat status {};
        if (::stat(above.c_str(), &status) != 0) return false;
        const auto owner = static_cast<std::int64_t>(status.st_uid);
        const auto group = static_cast<std::int64_t>(status.st_gid);
        const bool in_group =
            group == gid || std::find(groups.begin(), groups.end(), group) != groups.end();
        mode_t needed = S_IXOTH;
        if (in_group) needed = S_IXGRP;
        if (owner == uid) needed = S_IXUSR;
        if ((status.st_mode & needed) == 0) return false;
    }
    return true;
}

}  // namespace rpic
