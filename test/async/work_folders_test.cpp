#include "slave/files/work_folders.hpp"

#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <filesystem>

#include "common/limits.hpp"
#include "test/async/loopback.hpp"
#include "test/temporary_folder.hpp"

using namespace rpic;
namespace fs = std::filesystem;

namespace {

using Names = std::vector<std::string>;

struct World {
    test::TemporaryFolder folder;
    asio::io_context io{1};
    FileThread files{io.get_executor()};
    WorkFolders folders{files, folder.path().string(), Owner{}};

    Names make(Names names) {
        Names troubles;
        auto script = [&]() -> asio::awaitable<void> {
            troubles = co_await folders.make(std::move(names));
        };
        test::run_all(io, script());
        return troubles;
    }
    void remove(Names names, bool keep) {
        auto script = [&]() -> asio::awaitable<void> {
            const auto troubles = co_await folders.remove(std::move(names), keep);
            CHECK(troubles.empty());
        };
        test::run_all(io, script());
    }
    void drop_kept() {
        auto script = [&]() -> asio::awaitable<void> { co_await folders.drop_kept(); };
        test::run_all(io, script());
    }
    struct stat status(const std::string& name) const {
        struct stat status {};
        REQUIRE(::lstat(folders.path_of(name).c_str(), &status) == 0);
        return status;
    }
    Names there() const {
        Names names;
        for (const auto& entry : fs::directory_iterator(folder.path()))
            names.push_back(entry.path().filename().string());
        return names;
    }
};

}  // namespace

TEST_CASE("work folders are private, and gone when they are removed", "[work_folders]") {
    World world;
    CHECK(world.make({"1.0.1", "1.1.1"}) == Names{"", ""});
    CHECK((world.status("1.0.1").st_mode & 07777) == 0700);
    test::write_text(fs::path(world.folders.path_of("1.0.1")) / "deep/file", "left");
    world.remove({"1.0.1", "1.1.1", "9.9.9"}, false);
    CHECK(world.there().empty());
    CHECK_FALSE(world.folders.keeps_any());
}

TEST_CASE("a folder that was left as new is given to a later task", "[work_folders]") {
    World world;
    world.make({"1.0.1"});
    const auto before = world.status("1.0.1").st_ino;
    world.remove({"1.0.1"}, true);
    CHECK(world.folders.keeps_any());
    CHECK_FALSE(fs::exists(world.folders.path_of("1.0.1")));
    CHECK(world.make({"1.1.1"}) == Names{""});
    CHECK(world.status("1.1.1").st_ino == before);
    CHECK(world.there() == Names{"1.1.1"});
    CHECK_FALSE(world.folders.keeps_any());
}

TEST_CASE("a folder in which anything is different is not kept", "[work_folders]") {
    World world;
    world.make({"file", "mode", "link", "clean"});
    test::write_text(fs::path(world.folders.path_of("file")) / ".hidden", "");
    fs::permissions(world.folders.path_of("mode"), fs::perms::all);
    fs::remove(world.folders.path_of("link"));
    fs::create_directory_symlink(world.folders.path_of("clean"), world.folders.path_of("link"));
    world.remove({"file", "mode", "link"}, true);
    CHECK(world.there() == Names{"clean"});
    CHECK_FALSE(world.folders.keeps_any());
}

TEST_CASE("only so many folders are kept, and none after they were dropped", "[work_folders]") {
    World world;
    Names names;
    for (std::size_t i = 0; i < limits::work_folders_kept + 3; ++i)
        names.push_back(std::to_string(i));
    world.make(names);
    world.remove(names, true);
    CHECK(world.there().size() == limits::work_folders_kept);
    world.drop_kept();
    CHECK(world.there().empty());
    CHECK_FALSE(world.folders.keeps_any());
}

TEST_CASE("what stands in a work folder's place is removed first", "[work_folders]") {
    World world;
    world.make({"kept"});
    world.remove({"kept"}, true);
    test::write_text(fs::path(world.folders.path_of("a")) / "old/file", "old");
    test::write_text(world.folders.path_of("b"), "a file");
    CHECK(world.make({"a", "b"}) == Names{"", ""});
    CHECK(fs::is_empty(world.folders.path_of("a")));
    CHECK(fs::is_directory(world.folders.path_of("b")));
    // One that was taken away under us is not missed.
    world.remove({"a"}, true);
    for (const auto& name : world.there())
        if (name != "b") fs::remove_all(world.folders.path_of(name));
    CHECK(world.make({"c"}) == Names{""});
    CHECK(fs::is_empty(world.folders.path_of("c")));
}
