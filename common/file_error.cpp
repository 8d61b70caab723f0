#include "common/file_error.hpp"

#include <cerrno>
#include <cstring>

#include "common/limits.hpp"
#include "common/text.hpp"

namespace rpic {

void fail_file(const std::string& what, std::string_view path) {
    const int error = errno;
    const bool space = error == ENOSPC || error == EDQUOT;
    const bool absent = error == ENOENT || error == ENOTDIR;
    const char* code = space ? "full" : absent ? "not_found" : "failed";
    throw FileError(code, "cannot " + what + " " + printable(path, limits::path_bytes) + ": " +
                              std::strerror(error));
}

}  // namespace rpic
