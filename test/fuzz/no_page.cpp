#include "slave/web/asset_table.hpp"

namespace rpic {

/// In place of the files of web/, whose contents the fuzzer need not see.
std::span<const EmbeddedFile> embedded_files() {
    static constexpr char text[] = "<html></html>";
    static constexpr EmbeddedFile files[] = {
        {"/", "index.html", text, text + sizeof text - 1, text, text + sizeof text - 1}};
    return files;
}

}  // namespace rpic
