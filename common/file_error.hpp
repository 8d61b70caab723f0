#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>

namespace rpic {

/// A file or a list of files cannot be taken, given, made or collected. `what()` is for people.
class FileError : public std::runtime_error {
  public:
    FileError(std::string error_code, const std::string& reason)
        : std::runtime_error(reason), code(std::move(error_code)) {}
    std::string code;  // as in Failed: not_found | bad_request | full | conflict (the contents are
                       // not those that were announced) | failed (the disk does not work)
    std::int64_t short_bytes = 0;  // of `full`: how much more room is needed; 0: nobody knows
    bool from_master = false;      // who said so over the bulk link: it is not this node's disk
};

/// "cannot WHAT PATH: reason" with the reason in errno; the code is `full` if that is about space,
/// `not_found` if there is no such file.
[[noreturn]] void fail_file(const std::string& what, std::string_view path);

}  // namespace rpic
