#include "common/errors.hpp"
#include "common/files.hpp"
#include "common/keys.hpp"
#include "common/limits.hpp"

// Apart from the other files, so that a program without keys needs no OpenSSL.
namespace rpic {

std::string read_key_file(const std::filesystem::path& path) {
    const auto text = read_file_if_there(path, limits::key_file_bytes);
    if (!text) return {};
    const auto key = canonical_key(*text);
    if (key.empty())
        throw ConfigError(path.string() +
                          " holds no key: expected five groups of five letters and digits");
    return key;
}

}  // namespace rpic
