#include "cli/part_folder.hpp"

#include <catch2/catch.hpp>
#include <filesystem>
#include <optional>

#include "common/file_error.hpp"
#include "test/temporary_folder.hpp"

using namespace rpic;
namespace fs = std::filesystem;

TEST_CASE("downloads into one folder at once are apart", "[download]") {
    const test::TemporaryFolder folder;
    PartFolder first(folder.path());
    PartFolder second(folder.path());
    CHECK(first.path() == folder.path() / ".rpicluster-part");
    CHECK(second.path() == folder.path() / ".rpicluster-part-2");
    test::write_text(first.path() / "incoming/file", "half");
    test::write_text(second.path() / "incoming/file", "half");
    first.remove();
    CHECK_FALSE(fs::exists(first.path()));
    CHECK(fs::exists(second.path() / "incoming/file"));
    const PartFolder third(folder.path());
    CHECK(third.path() == first.path());
    second.remove();
    CHECK_FALSE(fs::exists(second.path()));
    CHECK(fs::exists(third.path()));
}

TEST_CASE("what an interrupted download has left is gone on with, or removed", "[download]") {
    const test::TemporaryFolder folder;
    std::optional<PartFolder> first(folder.path());
    std::optional<PartFolder> second(folder.path());
    test::write_text(first->path() / "incoming/file", "half");
    test::write_text(second->path() / "incoming/file", "half");
    first.reset();
    second.reset();
    PartFolder third(folder.path());
    CHECK(test::read_text(third.path() / "incoming/file") == "half");
    third.remove();
    CHECK(fs::is_empty(folder.path()));
}

TEST_CASE("something else in the place of a partial download is left alone", "[download]") {
    const test::TemporaryFolder folder;
    const test::TemporaryFolder outside;
    fs::create_directory_symlink(outside.path(), folder.path() / ".rpicluster-part");
    CHECK_THROWS_AS(PartFolder(folder.path()), FileError);
    fs::rename(folder.path() / ".rpicluster-part", folder.path() / ".rpicluster-part-7");
    PartFolder(folder.path()).remove();
    CHECK(fs::is_symlink(folder.path() / ".rpicluster-part-7"));
    CHECK(fs::is_empty(outside.path()));
}
