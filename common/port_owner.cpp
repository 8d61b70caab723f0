#include "common/port_owner.hpp"

#include <filesystem>
#include <fstream>
#include <sstream>
#include <vector>

#include "common/limits.hpp"
#include "common/text.hpp"

namespace rpic {

namespace {

/// Inodes of the sockets that listen on the port, as their descriptors are linked: "socket:[N]".
std::vector<std::string> listening_sockets(std::uint16_t port) {
    constexpr std::string_view listening = "0A";
    std::vector<std::string> sockets;
    for (const char* table : {"/proc/net/tcp", "/proc/net/tcp6"}) {
        std::ifstream file(table);
        std::string line;
        std::getline(file, line);
        while (std::getline(file, line)) {
            std::istringstream fields(line);
            std::string slot, local, remote, state, queues, timer, retransmits, user, timeout,
                inode;
            fields >> slot >> local >> remote >> state >> queues >> timer >> retransmits >> user >>
                timeout >> inode;
            const auto colon = local.rfind(':');
            if (state != listening || colon == std::string::npos) continue;
            if (std::stoul(local.substr(colon + 1), nullptr, 16) == port)
                sockets.push_back("socket:[" + inode + "]");
        }
    }
    return sockets;
}

bool holds(const std::filesystem::path& process, const std::vector<std::string>& sockets) {
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(process / "fd", error)) {
        const auto target = std::filesystem::read_symlink(entry.path(), error).string();
        for (const auto& socket : sockets)
            if (target == socket) return true;
    }
    return false;
}

}  // namespace

std::string port_owner(std::uint16_t port) {
    const auto sockets = listening_sockets(port);
    if (sockets.empty()) return {};
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator("/proc", error)) {
        const auto id = entry.path().filename().string();
        if (id.find_first_not_of("0123456789") != std::string::npos ||
            !holds(entry.path(), sockets))
            continue;
        std::ifstream file(entry.path() / "comm");
        std::string name;
        std::getline(file, name);
        return "process " + id + " (" + printable(name, limits::name_chars) + ")";
    }
    return {};
}

}  // namespace rpic
