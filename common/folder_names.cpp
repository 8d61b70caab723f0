#include "common/folder_names.hpp"

#include <dirent.h>
#include <fcntl.h>

#include <memory>

#include "common/file_error.hpp"

namespace rpic {

std::vector<std::string> names_in(const Descriptor& folder, std::size_t most,
                                  std::string_view path) {
    struct Close {
        void operator()(DIR* stream) const { ::closedir(stream); }
    };
    // Opened anew, so that reading begins at the beginning.
    Descriptor again(::openat(folder.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!again) fail_file("read the folder", path);
    const std::unique_ptr<DIR, Close> stream(::fdopendir(again.get()));
    if (!stream) fail_file("read the folder", path);
    again.release();
    std::vector<std::string> names;
    while (names.size() < most) {
        const auto* entry = ::readdir(stream.get());
        if (entry == nullptr) break;
        std::string name = entry->d_name;
        if (name != "." && name != "..") names.push_back(std::move(name));
    }
    return names;
}

}  // namespace rpic
