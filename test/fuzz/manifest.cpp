#include "common/manifest.hpp"

#include "test/fuzz/targets.hpp"

namespace rpic::fuzz {

/// Nothing that is taken leads out of its folder, and it has one meaning.
void fuzz_manifest(std::string_view input) {
    Manifest manifest;
    try {
        manifest = parse_manifest(input);
    } catch (const FileError& error) {
        expect_one_line(error.what());
        return;
    }
    for (const auto& entry : manifest.entries) {
        expect(path_problem(entry.path).empty(), "a path that cannot be");
        expect(("/" + entry.path + "/").find("/../") == std::string::npos, "a path that leads out");
        expect(entry.link.empty() || link_stays_inside(entry.path, entry.link), "a link out");
        expect(entry.mode >= 0 && entry.mode <= 0777, "a mode with more than permissions");
        expect(entry.size >= 0, "a negative size");
    }
    expect(manifest.total_bytes() >= 0, "more bytes than can be counted");
    const auto again = parse_manifest(format_manifest(manifest));
    expect(again.entries == manifest.entries, "a list of files changes on its way");
    auto sorted = manifest;
    put_in_order(sorted);
    expect(sorted.entries == manifest.entries, "a list that was taken is not in order");
}

}  // namespace rpic::fuzz
