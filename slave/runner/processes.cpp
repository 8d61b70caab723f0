#include "slave/runner/processes.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <charconv>
#include <memory>
#include <unordered_map>

namespace rpic {

namespace {

/// Start of a file under /proc.
std::string read_start(const std::string& path, std::size_t max_bytes) {
    const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (file < 0) return {};
    std::string text(max_bytes, '\0');
    std::size_t size = 0;
    while (size < max_bytes) {
        const auto count = ::read(file, text.data() + size, max_bytes - size);
        if (count <= 0) break;
        size += static_cast<std::size_t>(count);
    }
    ::close(file);
    text.resize(size);
    return text;
}

/// Far more than a task's environment usually is; what starts behind it is not seen. The marker is
/// put first.
constexpr std::size_t environment_bytes = 64 * 1024;

}  // namespace

bool parse_process(std::string_view line, std::int64_t page_bytes, Process& process) {
    const auto name_end = line.rfind(')');
    const auto [rest, bad] = std::from_chars(line.data(), line.data() + line.size(), process.pid);
    if (name_end == std::string_view::npos || bad != std::errc{}) return false;
    line.remove_prefix(name_end + 1);
    // Fields from the third on: state, parent, group, session, ... the 24th is the resident size.
    for (int field = 3; field <= 24; ++field) {
        const auto begin = line.find_first_not_of(' ');
        if (begin == std::string_view::npos) return false;
        line.remove_prefix(begin);
        const auto word = line.substr(0, line.find(' '));
        std::int64_t number = 0;
        if (field == 3)
            process.zombie = word == "Z" || word == "X";
        else
            std::from_chars(word.data(), word.data() + word.size(), number);
        if (field == 4) process.parent = static_cast<pid_t>(number);
        if (field == 6) process.session = static_cast<pid_t>(number);
        if (field == 24) process.rss_bytes = number * page_bytes;
        line.remove_prefix(word.size());
    }
    return true;
}

std::vector<Process> list_processes() {
    const auto page_bytes = static_cast<std::int64_t>(::sysconf(_SC_PAGESIZE));
    std::vector<Process> processes;
    const std::unique_ptr<DIR, int (*)(DIR*)> folder(::opendir("/proc"), ::closedir);
    while (const auto* entry = folder ? ::readdir(folder.get()) : nullptr) {
        if (entry->d_name[0] < '1' || entry->d_name[0] > '9') continue;
        Process process;
        const auto line = read_start(std::string("/proc/") + entry->d_name + "/stat", 1024);
        if (parse_process(line, page_bytes, process)) processes.push_back(process);
    }
    return processes;
}

std::string marker_of(pid_t pid) {
    const auto text = read_start("/proc/" + std::to_string(pid) + "/environ", environment_bytes);
    std::string_view rest = text;
    while (!rest.empty()) {
        const auto entry = rest.substr(0, rest.find('\0'));
        if (entry.starts_with(marker_variable) && entry.size() > marker_variable.size() &&
            entry[marker_variable.size()] == '=')
            return std::string(entry.substr(marker_variable.size() + 1));
        rest.remove_prefix(std::min(entry.size() + 1, rest.size()));
    }
    return {};
}

std::vector<Process> trees_of(const std::vector<Process>& processes,
                              const std::function<bool(const Process&)>& is_root) {
    std::unordered_multimap<pid_t, const Process*> children;
    std::vector<const Process*> todo;
    std::unordered_map<pid_t, bool> taken;
    for (const auto& each : processes) {
        children.emplace(each.parent, &each);
        if (is_root(each)) todo.push_back(&each);
    }
    std::vector<Process> trees;
    while (!todo.empty()) {
        const auto* process = todo.back();
        todo.pop_back();
        if (!taken.emplace(process->pid, true).second) continue;
        if (!process->zombie) trees.push_back(*process);
        const auto [begin, end] = children.equal_range(process->pid);
        for (auto each = begin; each != end; ++each) todo.push_back(each->second);
    }
    return trees;
}

}  // namespace rpic
