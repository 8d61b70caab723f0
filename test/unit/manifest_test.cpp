#include "common/manifest.hpp"

#include <catch2/catch.hpp>

#include "common/limits.hpp"
#include "common/sha256.hpp"

using namespace rpic;

namespace {

ManifestEntry file(std::string path) {
    ManifestEntry entry;
    entry.path = std::move(path);
    entry.size = 5;
    entry.blob = sha256_hex("hello");
    return entry;
}

ManifestEntry folder(std::string path) {
    ManifestEntry entry;
    entry.path = std::move(path);
    entry.mode = 0755;
    entry.folder = true;
    return entry;
}

ManifestEntry link_to(std::string path, std::string target) {
    ManifestEntry entry;
    entry.path = std::move(path);
    entry.link = std::move(target);
    return entry;
}

const std::string blob_member = R"("mode":420,"size":5,"blob":")" + sha256_hex("hello") + "\"";

std::string line(const std::string& path) {
    return R"({"path":")" + path + "\"," + blob_member + "}\n";
}

std::string manifest_error(const std::string& text) {
    try {
        parse_manifest(text);
    } catch (const FileError& error) {
        CHECK(error.code == "bad_request");
        return error.what();
    }
    return "";
}

}  // namespace

TEST_CASE("a manifest comes back as it was, whatever bytes its names have", "[manifest]") {
    Manifest manifest;
    manifest.entries = {file("b"),
                        folder("a"),
                        file("a/with \"quotes\" and \n and \t"),
                        file("a/gr\xc3\xb6\xc3\x9f"
                             "e"),
                        file("a/\xff\xfe"),
                        link_to("a/latin1",
                                "gr\xf6\xdf"
                                "e"),
                        link_to("c", "a/b")};
    put_in_order(manifest);
    const auto text = format_manifest(manifest);
    const auto again = parse_manifest(text);
    CHECK(again.entries == manifest.entries);
    CHECK(format_manifest(again) == text);
    CHECK(text.find("path_hex") != std::string::npos);
    CHECK(manifest.total_bytes() == 20);
    CHECK(manifest.blobs() == std::vector{sha256_hex("hello")});
    CHECK(parse_manifest("").entries.empty());
}

TEST_CASE("a manifest of a stranger cannot leave its folder", "[manifest]") {
    for (const std::string path :
         {"..", "../x", "a/../x", "a/..", "/etc/passwd", "", "a//b", "a/", "./a", ".", "a/./b"}) {
        CAPTURE(path);
        CHECK_FALSE(manifest_error(line(path)).empty());
    }
    CHECK_FALSE(manifest_error(line("a\\u0000b")).empty());
    CHECK_FALSE(manifest_error(line(std::string(256, 'x'))).empty());
    CHECK(manifest_error(line(std::string(255, 'x'))).empty());
    std::string deep = "x";
    for (int i = 0; i < limits::folder_depth; ++i) deep += "/x";
    CHECK_FALSE(manifest_error(line(deep)).empty());
    CHECK_FALSE(manifest_error(R"({"path_hex":"2e2e2f78",)" + blob_member + "}\n").empty());
    CHECK(manifest_error(R"({"path_hex":"78",)" + blob_member + "}\n").empty());
    for (const std::string hex : {"7", "7g", "7A", "00"}) {
        CAPTURE(hex);
        CHECK_FALSE(manifest_error(R"({"path_hex":")" + hex + "\"," + blob_member + "}\n").empty());
    }
}

TEST_CASE("a manifest has one meaning", "[manifest]") {
    CHECK(manifest_error(line("a") + line("b")).empty());
    CHECK_FALSE(manifest_error(line("b") + line("a")).empty());
    CHECK_FALSE(manifest_error(line("a") + line("a")).empty());
    CHECK_FALSE(manifest_error(line("a") + line("a/b")).empty());
    // Names between a file and what lies below it, in the order of bytes.
    CHECK_FALSE(manifest_error(line("a") + line("a-b") + line("a/b")).empty());
    const std::string to_tmp = R"({"path":"a","link":"b"})"
                               "\n";
    CHECK(manifest_error(to_tmp).empty());
    CHECK_FALSE(manifest_error(to_tmp + line("a/x")).empty());
    const std::string two = R"({"path":"a","link":"b",)" + blob_member + "}\n";
    CHECK_FALSE(manifest_error(two).empty());
    CHECK_FALSE(manifest_error(R"({"path":"a"})"
                               "\n")
                    .empty());
    CHECK_FALSE(manifest_error(R"({"path":"a","path_hex":"61","mode":1,"dir":true})"
                               "\n")
                    .empty());
    CHECK(manifest_error(R"({"path":"a","mode":493,"dir":true,"later":1})"
                         "\n")
              .empty());
}

TEST_CASE("numbers and shapes of a manifest are in range", "[manifest]") {
    const auto hash = sha256_hex("hello");
    const auto with = [&](const std::string& mode, const std::string& size,
                          const std::string& blob) {
        return manifest_error(R"({"path":"a","mode":)" + mode + R"(,"size":)" + size +
                              R"(,"blob":")" + blob + "\"}\n");
    };
    CHECK(with("511", "5", hash).empty());
    CHECK_FALSE(with("512", "5", hash).empty());
    CHECK_FALSE(with("2541", "5", hash).empty());
    CHECK_FALSE(with("-1", "5", hash).empty());
    CHECK_FALSE(with("\"0644\"", "5", hash).empty());
    CHECK_FALSE(with("420", "-1", hash).empty());
    CHECK_FALSE(with("420", "1e30", hash).empty());
    CHECK_FALSE(with("420", std::to_string(limits::blob_bytes + 1), hash).empty());
    CHECK_FALSE(with("420", "5", "abc").empty());
    CHECK_FALSE(with("420", "5", "../../" + hash.substr(6)).empty());
    CHECK_FALSE(manifest_error("[]\n").empty());
    CHECK_FALSE(manifest_error("{\n").empty());
    CHECK_FALSE(manifest_error("\n").empty());
    CHECK_FALSE(manifest_error(R"({"path":["a"],"mode":1,"dir":true})"
                               "\n")
                    .empty());
    const auto whole = line("a");
    CHECK_FALSE(manifest_error(whole.substr(0, whole.size() - 1)).empty());
    CHECK_FALSE(manifest_error(std::string(limits::manifest_bytes + 1, '\n')).empty());
    CHECK_FALSE(manifest_error("{\"path\":" + std::string(100, '[') + "\n").empty());
}

TEST_CASE("links stay inside, also over other links", "[manifest]") {
    CHECK(link_stays_inside("a", "b"));
    CHECK(link_stays_inside("a/b", "../c"));
    CHECK(link_stays_inside("a/b/c", "../../d/e"));
    CHECK(link_stays_inside("a/b", "./c/"));
    CHECK_FALSE(link_stays_inside("a", "../b"));
    CHECK_FALSE(link_stays_inside("a/b", "../../c"));
    CHECK_FALSE(link_stays_inside("a", "/etc/passwd"));
    CHECK_FALSE(link_stays_inside("a", ""));
    // "p/q" may be a link to what lies higher: ".." behind a name could lead anywhere.
    CHECK_FALSE(link_stays_inside("a/b/c", "p/q/../../x"));
    CHECK_FALSE(link_stays_inside("a", "b/.."));
    CHECK(link_stays_inside("top/a/b", "../c", "top"));
    CHECK_FALSE(link_stays_inside("top/a", "../c", "top"));
    CHECK_FALSE(manifest_error(R"({"path":"a","link":"/etc"})"
                               "\n")
                    .empty());
    CHECK_FALSE(manifest_error(R"({"path":"a/b","link":"../../x"})"
                               "\n")
                    .empty());
}

TEST_CASE("files for the same place are merged if they are the same", "[manifest]") {
    Manifest manifest;
    manifest.entries = {folder("a"), file("a/b"), file("a/b"), folder("a")};
    manifest.entries[3].mode = 0700;
    put_in_order(manifest);
    CHECK(manifest.entries.size() == 2);
    manifest.entries.push_back(link_to("a/b", "c"));
    CHECK_THROWS_AS(put_in_order(manifest), FileError);
    manifest.entries = {file("a"), file("a/b")};
    CHECK_THROWS_AS(put_in_order(manifest), FileError);
}
