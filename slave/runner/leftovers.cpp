#include "slave/runner/leftovers.hpp"

#include <sys/random.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <fstream>
#include <set>
#include <thread>

#include "common/errors.hpp"
#include "common/files.hpp"
#include "common/limits.hpp"
#include "common/text.hpp"
#include "slave/runner/processes.hpp"

namespace rpic {

std::string folder_id(const std::filesystem::path& folder) {
    constexpr std::size_t digits = 16;
    const auto path = folder / "id";
    if (const auto text = read_file_if_there(path, limits::key_file_bytes)) {
        const std::string id(trim(*text));
        const bool hexadecimal = id.find_first_not_of("0123456789abcdef") == std::string::npos;
        if (id.size() == digits && hexadecimal) return id;
    }
    unsigned char bytes[digits / 2];
    if (::getrandom(bytes, sizeof bytes, 0) != static_cast<ssize_t>(sizeof bytes))
        throw ConfigError("the kernel gives no random numbers");
    std::string id;
    for (const auto byte : bytes) {
        id += "0123456789abcdef"[byte >> 4];
        id += "0123456789abcdef"[byte & 15];
    }
    write_secret(path, id + "\n");
    return id;
}

std::string boot_id() {
    std::ifstream file("/proc/sys/kernel/random/boot_id");
    std::string id;
    file >> id;
    return id;
}

std::size_t kill_leftovers(const std::string& id) {
    const auto prefix = id + ".";
    constexpr int rounds = 200;
    std::set<pid_t> seen;
    for (int round = 0; round < rounds; ++round) {
        const auto found = trees_of(list_processes(), [&](const Process& process) {
            return !process.zombie && marker_of(process.pid).starts_with(prefix);
        });
        if (found.empty()) break;
        // Stopped first: one that forks faster than it is found would outlive its children.
        for (const auto& each : found)
            if (each.pid != ::getpid() && seen.insert(each.pid).second) ::kill(each.pid, SIGSTOP);
        for (const auto& each : found)
            if (each.pid != ::getpid()) ::kill(each.pid, SIGKILL);
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return seen.size();
}

}  // namespace rpic
