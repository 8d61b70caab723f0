#include "slave/web/assets.hpp"

#include <map>

#include "common/sha256.hpp"
#include "slave/web/asset_table.hpp"

namespace rpic {

namespace {

std::string_view content_type_of(std::string_view name) {
    if (name.ends_with(".html")) return "text/html; charset=utf-8";
    if (name.ends_with(".css")) return "text/css; charset=utf-8";
    if (name.ends_with(".js")) return "text/javascript; charset=utf-8";
    if (name.ends_with(".json")) return "application/json";
    if (name.ends_with(".svg")) return "image/svg+xml";
    return "application/octet-stream";
}

std::map<std::string_view, Asset> load_assets() {
    std::map<std::string_view, Asset> assets;
    for (const EmbeddedFile& file : embedded_files()) {
        Asset asset;
        asset.content_type = content_type_of(file.name);
        asset.plain = std::string_view(file.plain, file.plain_end);
        asset.packed = std::string_view(file.packed, file.packed_end);
        // Enough to tell two versions of one file apart.
        const std::string hash = sha256_hex(asset.plain).substr(0, 16);
        asset.etag = '"' + hash + '"';
        asset.packed_etag = '"' + hash + "-gz\"";
        assets.emplace(file.path, std::move(asset));
    }
    return assets;
}

}  // namespace

const Asset* find_asset(std::string_view path) {
    static const std::map<std::string_view, Asset> assets = load_assets();
    const auto found = assets.find(path);
    return found == assets.end() ? nullptr : &found->second;
}

}  // namespace rpic
