#include "common/beneath.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "common/blob_store.hpp"
#include "common/file_scan.hpp"
#include "common/limits.hpp"
#include "test/temporary_folder.hpp"

using namespace rpic;
namespace fs = std::filesystem;

namespace {

/// A folder to work in, a store, and a place outside that nothing may touch.
struct Folders {
    Folders() {
        fs::create_directory(work);
        test::write_text(outside / "secret", "secret");
    }

    ManifestEntry file(std::string path, std::string_view text, int mode = 0644) {
        ManifestEntry entry;
        entry.path = std::move(path);
        entry.mode = mode;
        entry.size = static_cast<std::int64_t>(text.size());
        entry.blob = store.put_bytes(text);
        return entry;
    }

    void place(std::vector<ManifestEntry> entries) {
        Manifest manifest;
        manifest.entries = std::move(entries);
        put_in_order(manifest);
        Placing placing(open_folder(work), manifest, [this](const ManifestEntry& entry) {
            Placing::Contents from;
            from.file = store.open(entry.blob);
            return from;
        });
        while (!placing.step()) continue;
    }

    std::vector<std::string> matching(const std::vector<std::string>& globs) {
        const auto found = find_matching(open_folder(work), Globs(globs), -1);
        left_out = found.left_out;
        std::vector<std::string> paths;
        for (const auto& entry : found.manifest.entries) paths.push_back(entry.path);
        return paths;
    }

    test::TemporaryFolder folder;
    fs::path work = folder.path() / "work";
    fs::path outside = folder.path() / "outside";
    BlobStore store{folder.path() / "blobs"};
    std::vector<std::string> left_out;
};

ManifestEntry folder_entry(std::string path, int mode) {
    ManifestEntry entry;
    entry.path = std::move(path);
    entry.mode = mode;
    entry.folder = true;
    return entry;
}

ManifestEntry link_entry(std::string path, std::string target) {
    ManifestEntry entry;
    entry.path = std::move(path);
    entry.link = std::move(target);
    return entry;
}

int mode_of(const fs::path& path) {
    struct stat status {};
    REQUIRE(::lstat(path.c_str(), &status) == 0);
    return static_cast<int>(status.st_mode & 07777);
}

}  // namespace

TEST_CASE("files come with their modes, folders too, also without the right to write",
          "[beneath]") {
    Folders world;
    world.place({world.file("run.sh", "echo", 0755), folder_entry("shut", 0555),
                 world.file("shut/in", "x", 0400), world.file("deep/er/file", "y"),
                 link_entry("deep/up", "../run.sh"), world.file("twice", "echo")});
    CHECK(test::read_text(world.work / "run.sh") == "echo");
    CHECK(mode_of(world.work / "run.sh") == 0755);
    CHECK(mode_of(world.work / "shut") == 0555);
    CHECK(mode_of(world.work / "shut/in") == 0400);
    CHECK(test::read_text(world.work / "deep/er/file") == "y");
    CHECK(test::read_text(world.work / "deep/up") == "echo");
    CHECK(test::read_text(world.work / "twice") == "echo");
    struct stat a {
    }, b{};
    REQUIRE(::stat((world.work / "run.sh").c_str(), &a) == 0);
    REQUIRE(::stat(world.store.path_of(sha256_hex("echo")).c_str(), &b) == 0);
    CHECK(a.st_ino != b.st_ino);
    fs::permissions(world.work / "shut", fs::perms::owner_all);
}

TEST_CASE("nothing is written through links that were there", "[beneath]") {
    Folders world;
    SECTION("a folder that is a link") {
        fs::create_directory_symlink(world.outside, world.work / "data");
        CHECK_THROWS_AS(world.place({world.file("data/secret", "changed")}), FileError);
        CHECK_THROWS_AS(world.place({folder_entry("data", 0777)}), FileError);
        CHECK_THROWS_AS(world.place({world.file("data/new/file", "x")}), FileError);
        CHECK_FALSE(fs::exists(world.outside / "new"));
    }
    SECTION("a file that is a link is replaced itself") {
        fs::create_symlink(world.outside / "secret", world.work / "file");
        world.place({world.file("file", "changed")});
        CHECK_FALSE(fs::is_symlink(world.work / "file"));
        CHECK(test::read_text(world.work / "file") == "changed");
    }
    SECTION("a link that leads out is not made") {
        CHECK_THROWS_AS(world.place({link_entry("x", "../outside/secret")}), FileError);
        CHECK_THROWS_AS(world.place({link_entry("x", "/etc/passwd")}), FileError);
    }
    SECTION("paths that lead out are refused even without a parser") {
        CHECK_THROWS_AS(world.place({world.file("../outside/secret", "changed")}), FileError);
        CHECK_THROWS_AS(world.place({world.file("/tmp/x", "changed")}), FileError);
    }
    CHECK(test::read_text(world.outside / "secret") == "secret");
}

TEST_CASE("a file of another size than announced does not stay", "[beneath]") {
    Folders world;
    auto entry = world.file("file", "hello");
    entry.size = 6;
    CHECK_THROWS_AS(world.place({entry}), FileError);
    CHECK(fs::is_empty(world.work));
}

TEST_CASE("what matches comes, what leads out does not", "[beneath]") {
    Folders world;
    test::write_text(world.work / "a.png", "a");
    test::write_text(world.work / "b.txt", "b");
    test::write_text(world.work / "out/deep/c.png", "c");
    test::write_text(world.work / "out/.hidden", "h");
    fs::create_symlink("a.png", world.work / "good.png");
    fs::create_symlink(world.outside / "secret", world.work / "bad.png");
    fs::create_symlink("../outside/secret", world.work / "worse.png");
    fs::create_directory_symlink(world.outside, world.work / "linked");
    REQUIRE(::mkfifo((world.work / "pipe.png").c_str(), 0600) == 0);
    CHECK(world.matching({"*.png"}) == std::vector<std::string>{"a.png", "good.png"});
    CHECK(world.left_out.size() == 3);
    CHECK(world.matching({"linked/*"}).empty());
    CHECK(world.matching({"**/*.png"}) ==
          std::vector<std::string>{"a.png", "good.png", "out/deep/c.png"});
    CHECK(world.matching({"out"}) ==
          std::vector<std::string>{"out", "out/.hidden", "out/deep", "out/deep/c.png"});
    CHECK(world.matching({"none*"}).empty());
}

TEST_CASE("files are opened without following anything", "[beneath]") {
    Folders world;
    test::write_text(world.work / "in/file", "x");
    fs::create_symlink(world.outside / "secret", world.work / "link");
    fs::create_directory_symlink(world.outside, world.work / "folder");
    REQUIRE(::mkfifo((world.work / "pipe").c_str(), 0600) == 0);
    const auto top = open_folder(world.work);
    CHECK(open_beneath(top, "in/file"));
    for (const std::string path : {"link", "folder/secret", "../outside/secret", "in", "pipe",
                                   "/etc/passwd", "in/../link"}) {
        CAPTURE(path);
        CHECK_THROWS_AS(open_beneath(top, path), FileError);
    }
    CHECK_THROWS_AS(open_beneath(top, "in/file", 12345), FileError);
    CHECK(open_beneath(top, "in/file", ::geteuid()));
}

TEST_CASE("whatever a task leaves is removed, and nothing else", "[beneath]") {
    Folders world;
    test::write_text(world.work / "shut/file", "x");
    fs::create_directory_symlink(world.outside, world.work / "shut/linked");
    for (std::size_t i = 0; i < limits::file_step_entries + 10; ++i)
        test::write_text(world.work / "many" / std::to_string(i), "");
    // Deeper than any path may be long.
    Descriptor inner = open_folder(world.work);
    for (int i = 0; i < 3000; ++i) {
        REQUIRE(::mkdirat(inner.get(), "deeper", 0700) == 0);
        inner = Descriptor(::openat(inner.get(), "deeper", O_RDONLY | O_DIRECTORY));
        REQUIRE(inner);
    }
    REQUIRE(::chmod((world.work / "shut").c_str(), 0) == 0);
    Removing removing(world.work.native());
    int steps = 1;
    while (!removing.step() && steps < 100) ++steps;
    CHECK(steps > 1);
    CHECK_FALSE(fs::exists(world.work));
    CHECK(test::read_text(world.outside / "secret") == "secret");
    CHECK(Removing(world.work.native()).step());
    // A link in its place goes, and what it leads to stays.
    fs::create_directory_symlink(world.outside, world.work);
    CHECK(Removing(world.work.native()).step());
    CHECK_FALSE(fs::exists(fs::symlink_status(world.work)));
    CHECK(test::read_text(world.outside / "secret") == "secret");
}

TEST_CASE("what --in names is found, with its place", "[beneath]") {
    Folders world;
    test::write_text(world.work / "data/a", "a");
    test::write_text(world.work / "data/sub/b", "b");
    fs::create_symlink("sub/b", world.work / "data/inside");
    fs::create_symlink(world.outside / "secret", world.work / "data/outside");
    fs::create_directory_symlink("data", world.work / "alias");
    const auto before = fs::current_path();
    fs::current_path(world.work);
    const auto paths = [](const std::vector<std::string>& named) {
        std::vector<std::string> result;
        for (const auto& file : scan_files(named)) result.push_back(file.entry.path);
        return result;
    };
    const std::vector<std::string> all{"data",         "data/a",   "data/inside",
                                       "data/outside", "data/sub", "data/sub/b"};
    CHECK(paths({"data"}) == all);
    CHECK(paths({"./data//"}) == all);
    CHECK(paths({"data", "data/a", (world.work / "data").native()}) == all);
    CHECK(paths({"data/sub/../a"}) == std::vector<std::string>{"data/a"});
    CHECK(paths({(world.work / "data/sub/b").native()}) == std::vector<std::string>{"b"});
    CHECK(paths({"../outside"}) == std::vector<std::string>{"outside", "outside/secret"});
    CHECK(paths({"alias/a"}) == std::vector<std::string>{"alias/a"});
    fs::remove(world.work / "alias");
    const auto here = paths({"."});
    CHECK(here == all);
    auto files = scan_files({"data"});
    CHECK(files[2].entry.link == "sub/b");
    CHECK(files[3].entry.link.empty());
    hash_file(files[3]);
    CHECK(files[3].entry.blob == sha256_hex("secret"));
    test::write_text(world.work / "other/a", "different");
    CHECK_THROWS_AS(paths({"data/a", (world.work / "other/a").native(), "a"}), FileError);
    CHECK_THROWS_AS(paths({(world.work / "data/a").native(), (world.work / "other/a").native()}),
                    FileError);
    CHECK_THROWS_AS(paths({"nothing"}), FileError);
    CHECK_THROWS_AS(paths({"/"}), FileError);
    CHECK_THROWS_AS(paths({"/dev/null"}), FileError);
    fs::create_directory_symlink(world.outside, world.work / "data/folder");
    CHECK_THROWS_AS(paths({"data"}), FileError);
    fs::current_path(before);
}
