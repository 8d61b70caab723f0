#include "master/store/disk.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <string>

#include "common/descriptor.hpp"

namespace rpic {

void fail(const char* what, const std::filesystem::path& path) {
    throw std::runtime_error(std::string("cannot ") + what + " " + path.string() + ": " +
                             std::strerror(errno));
}

void sync_folder(const std::filesystem::path& folder) {
    const Descriptor opened(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!opened || ::fsync(opened.get()) != 0) fail("write", folder);
}

}  // namespace rpic
