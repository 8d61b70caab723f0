#include "slave/runner/task_groups.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <fstream>
#include <thread>

#include "common/limits.hpp"
#include "common/text.hpp"

namespace rpic {

namespace {

bool write_text(const std::filesystem::path& path, std::string_view text) {
    const int file = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
    if (file < 0) return false;
    const bool written =
        ::write(file, text.data(), text.size()) == static_cast<ssize_t>(text.size());
    ::close(file);
    return written;
}

/// Where the cgroup v2 hierarchy is mounted; empty if it is not, or this process may not make
/// groups at its top.
std::filesystem::path top_of_hierarchy() {
    if (::geteuid() != 0) return {};
    std::ifstream table("/proc/self/mounts");
    std::string line;
    while (std::getline(table, line)) {
        const auto words = split(line, ' ');
        if (words.size() > 2 && words[2] == "cgroup2") return words[1];
    }
    return {};
}

constexpr long cgroup2_magic = 0x63677270;

}  // namespace

TaskGroup::TaskGroup(std::filesystem::path path) : path_(std::move(path)) {
    if (::mkdir(path_.c_str(), 0755) != 0 && errno != EEXIST) return;
    folder_ = ::open(path_.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
    events_ = ::open((path_ / "cgroup.events").c_str(), O_RDONLY | O_CLOEXEC);
}

TaskGroup::~TaskGroup() {
    if (folder_ >= 0) ::close(folder_);
    if (events_ >= 0) ::close(events_);
    ::rmdir(path_.c_str());
}

bool TaskGroup::populated() const {
    char text[128] = {};
    if (::pread(events_, text, sizeof text - 1, 0) <= 0) return false;
    return std::string_view(text).find("populated 1") != std::string_view::npos;
}

std::vector<int> TaskGroup::processes() const {
    std::ifstream file(path_ / "cgroup.procs");
    std::vector<int> found;
    for (int pid = 0; file >> pid;)
        if (pid > 0) found.push_back(pid);
    return found;
}

void TaskGroup::kill() const {
    if (write_text(path_ / "cgroup.kill", "1")) return;
    // Kernels before 5.14: nothing in a frozen group can fork away from the signals.
    write_text(path_ / "cgroup.freeze", "1");
    for (const int pid : processes()) ::kill(pid, SIGKILL);
    write_text(path_ / "cgroup.freeze", "0");
}

std::int64_t TaskGroup::memory_kills() const {
    std::ifstream file(path_ / "memory.events");
    std::string name;
    for (std::int64_t count = 0; file >> name >> count;)
        if (name == "oom_kill") return count;
    return 0;
}

bool TaskGroup::limit_memory(std::int64_t bytes) {
    if (bytes == memory_bytes_) return bytes > 0;
    const auto text = bytes > 0 ? std::to_string(bytes) : std::string("max");
    if (!write_text(path_ / "memory.max", text)) return false;
    write_text(path_ / "memory.swap.max", bytes > 0 ? "0" : "max");
    write_text(path_ / "memory.oom.group", bytes > 0 ? "1" : "0");
    memory_bytes_ = bytes;
    return bytes > 0;
}

void TaskGroup::limit_processes(std::size_t count) const {
    write_text(path_ / "pids.max", std::to_string(count));
}

TaskGroups::TaskGroups(const std::string& where, const std::string& id) {
    if (where == "none") return;
    if (where.empty()) {
        const auto top = top_of_hierarchy();
        if (top.empty()) return;
        root_ = top / ("rpicluster-" + id);
    } else {
        root_ = where;
    }
    struct statfs status {};
    const bool made = ::mkdir(root_.c_str(), 0755) == 0 || errno == EEXIST;
    if (!made || ::statfs(root_.c_str(), &status) != 0 || status.f_type != cgroup2_magic) {
        root_.clear();
        return;
    }
    // What a runner left that was killed. Groups go once their last process has gone.
    std::vector<std::filesystem::path> left;
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(root_, error))
        if (entry.is_directory(error)) left.push_back(entry.path());
    for (const auto& path : left) {
        const TaskGroup group(path);
        for (int round = 0; group.populated() && round < 200; ++round) {
            group.kill();
            std::this_thread::sleep_for(std::chrono::milliseconds(5));
        }
    }
    // The controllers that are there; a kernel without one of them refuses that one alone.
    for (const auto* controller : {"+memory", "+pids"}) {
        write_text(root_.parent_path() / "cgroup.subtree_control", controller);
        write_text(root_ / "cgroup.subtree_control", controller);
    }
}

TaskGroups::~TaskGroups() {
    free_.clear();
    if (!root_.empty()) ::rmdir(root_.c_str());
}

std::unique_ptr<TaskGroup> TaskGroups::take() {
    if (root_.empty()) return nullptr;
    if (!free_.empty()) {
        auto group = std::move(free_.back());
        free_.pop_back();
        return group;
    }
    auto group = std::make_unique<TaskGroup>(root_ / std::to_string(made_++));
    if (!group->usable()) return nullptr;
    group->limit_processes(limits::task_processes);
    return group;
}

void TaskGroups::give_back(std::unique_ptr<TaskGroup> group) {
    if (group && !root_.empty()) free_.push_back(std::move(group));
}

}  // namespace rpic
