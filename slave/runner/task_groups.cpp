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

/// Where the cgroup v2 hierarchy is mounted; empty if it is not.
std::filesystem::path top_of_hierarchy() {
    std::ifstream table("/proc/self/mounts");
    std::string line;
    while (std::getline(table, line)) {
        const auto words = split(line, ' ');
        if (words.size() > 2 && words[2] == "cgroup2") return words[1];
    }
    return {};
}

/// The group that this process was given. A group with processes in it cannot hand controllers
/// down (cgroups(7), "no internal processes"), so this one moves aside first.
std::filesystem::path below_own_group() {
    const auto top = top_of_hierarchy();
    std::ifstream file("/proc/self/cgroup");
    const std::string table{std::istreambuf_iterator<char>(file), {}};
    const auto path = group_path(table);
    if (top.empty() || path.empty()) return {};
    const std::filesystem::path own = top.string() + path;
    const auto aside = own / "runner";
    if (::mkdir(aside.c_str(), 0755) != 0 && errno != EEXIST) return {};
    if (!write_text(aside / "cgroup.procs", "0")) return {};
    return own / "tasks";
}

std::filesystem::path place_of(const std::string& where, const std::string& id) {
    if (where == "none") return {};
    if (where == "own") return below_own_group();
    if (!where.empty()) return where;
    const auto top = top_of_hierarchy();
    if (top.empty() || ::geteuid() != 0) return {};
    return top / ("rpicluster-" + id);
}

constexpr long cgroup2_magic = 0x63677270;

/// Value of a line "NAME VALUE" of one of the kernel's files; 0 if there is none.
std::int64_t value_in(const std::filesystem::path& path, std::string_view wanted) {
    std::ifstream file(path);
    std::string name;
    for (std::int64_t value = 0; file >> name >> value;)
        if (name == wanted) return value;
    return 0;
}

}  // namespace

std::string group_path(std::string_view table) {
    constexpr std::string_view unified = "0::";
    for (const auto& line : split(table, '\n')) {
        if (!line.starts_with(unified)) continue;
        const auto path = line.substr(unified.size());
        const bool shown = path.starts_with('/') && (path + "/").find("/../") == std::string::npos;
        return shown ? path : std::string();
    }
    return {};
}

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
    return value_in(path_ / "memory.events", "oom_kill");
}

std::int64_t TaskGroup::stuck_bytes() const {
    return value_in(path_ / "memory.stat", "shmem");
}

bool TaskGroup::limit_memory(std::int64_t bytes) {
    if (bytes == memory_bytes_) return bytes > 0;
    const auto text = bytes > 0 ? std::to_string(bytes) : std::string("max");
    // The limit last: what is beyond it already is killed before the write ends.
    write_text(path_ / "memory.swap.max", bytes > 0 ? "0" : "max");
    write_text(path_ / "memory.oom.group", bytes > 0 ? "1" : "0");
    if (!write_text(path_ / "memory.max", text)) return false;
    memory_bytes_ = bytes;
    return bytes > 0;
}

void TaskGroup::limit_processes(std::size_t count) const {
    write_text(path_ / "pids.max", std::to_string(count));
}

TaskGroups::TaskGroups(const std::string& where, const std::string& id)
    : root_(place_of(where, id)) {
    if (root_.empty()) return;
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

std::unique_ptr<TaskGroup> TaskGroups::take(bool limited) {
    if (root_.empty()) return nullptr;
    while (!free_.empty()) {
        auto group = std::move(free_.back());
        free_.pop_back();
        if (!limited || group->stuck_bytes() == 0) return group;
        // Its end hands what is stuck to the group above.
    }
    auto group = std::make_unique<TaskGroup>(root_ / std::to_string(made_++));
    if (!group->usable()) return nullptr;
    group->limit_processes(limits::task_processes);
    return group;
}

void TaskGroups::give_back(std::unique_ptr<TaskGroup> group) {
    if (!group || root_.empty()) return;
    group->limit_memory(0);
    free_.push_back(std::move(group));
}

}  // namespace rpic
