#include "common/self_stats.hpp"

#include <unistd.h>

#include <fstream>
#include <string>

namespace rpic {

std::int64_t own_rss_bytes() {
    std::ifstream file("/proc/self/statm");
    std::int64_t size = 0;
    std::int64_t resident = 0;
    file >> size >> resident;
    return resident * ::sysconf(_SC_PAGESIZE);
}

std::int64_t own_bytes_written() {
    std::ifstream file("/proc/self/io");
    std::string name;
    std::int64_t value = 0;
    while (file >> name >> value)
        if (name == "write_bytes:") return value;
    return 0;
}

}  // namespace rpic
