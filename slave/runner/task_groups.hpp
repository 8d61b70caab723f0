#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace rpic {

/// One cgroup (v2), for one task at a time.
class TaskGroup {
  public:
    explicit TaskGroup(std::filesystem::path path);
    ~TaskGroup();
    TaskGroup(const TaskGroup&) = delete;
    TaskGroup& operator=(const TaskGroup&) = delete;

    bool usable() const { return folder_ >= 0 && events_ >= 0; }
    /// Descriptor of its folder, for clone3(2).
    int folder() const { return folder_; }

    /// Whether any process is in it.
    bool populated() const;
    std::vector<int> processes() const;
    /// SIGKILL to all, those that are being forked included.
    void kill() const;

    /// How many processes the kernel killed in it because of its memory limit, ever.
    std::int64_t memory_kills() const;
    /// False if the kernel does not limit memory here. What is beyond the limit now is killed.
    bool limit_memory(std::int64_t bytes);  // 0: no limit
    /// Memory that is still charged to it and cannot be taken back: files that a task left in a
    /// tmpfs. It would count against the limit of the next task.
    std::int64_t stuck_bytes() const;
    void limit_processes(std::size_t count) const;

  private:
    std::filesystem::path path_;
    int folder_ = -1;
    int events_ = -1;
    std::int64_t memory_bytes_ = 0;
};

/// Path of a process' cgroup (v2) within what the mount of its namespace shows, from the lines of
/// its /proc/PID/cgroup; empty if there is none, or the mount does not show it. Pure.
std::string group_path(std::string_view table);

/// The cgroups of a runner: made once, used again and again, because a task may be too short to pay
/// for the making.
class TaskGroups {
  public:
    /// Where they may be: "none", a folder of a cgroup v2 hierarchy (tests), "own" for below the
    /// cgroup of this process, which a service manager has given to it (Delegate=yes of
    /// systemd.resource-control(5)), or empty for a folder named after `id` at the top of the
    /// machine's. Kills whatever is left in it.
    TaskGroups(const std::string& where, const std::string& id);
    ~TaskGroups();
    TaskGroups(const TaskGroups&) = delete;
    TaskGroups& operator=(const TaskGroups&) = delete;

    /// An empty group; null if there can be none here. Is it for a task with a memory limit, then
    /// nothing of earlier tasks counts against that.
    std::unique_ptr<TaskGroup> take(bool limited);
    /// It must be empty. Its limit is taken away.
    void give_back(std::unique_ptr<TaskGroup> group);

    /// The kernel refused to start a process in one: no more of them.
    void disable() {
        free_.clear();
        root_.clear();
    }

  private:
    std::filesystem::path root_;  // empty: no cgroups here
    std::vector<std::unique_ptr<TaskGroup>> free_;
    int made_ = 0;
};

}  // namespace rpic
