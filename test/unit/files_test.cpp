#include "common/files.hpp"

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <fstream>
#include <string>

#include "common/errors.hpp"

using namespace rpic;
using namespace std::string_literals;
namespace fs = std::filesystem;

namespace {

/// A folder of its own for one test.
class Scratch {
  public:
    Scratch() {
        auto name = (fs::temp_directory_path() / "rpicluster-unit.XXXXXX").string();
        REQUIRE(::mkdtemp(name.data()) != nullptr);
        path = name;
    }
    ~Scratch() {
        std::error_code ignored;
        fs::remove_all(path, ignored);
    }
    Scratch(const Scratch&) = delete;
    Scratch& operator=(const Scratch&) = delete;

    std::size_t entries() const {
        return static_cast<std::size_t>(std::distance(fs::directory_iterator(path), {}));
    }
    fs::path path;
};

int mode(const fs::path& path) {
    struct stat status {};
    REQUIRE(::lstat(path.c_str(), &status) == 0);
    return static_cast<int>(status.st_mode & 07777);
}

std::string contents(const fs::path& path) {
    return read_file_if_there(path, 1000).value_or("(none)");
}

void put(const fs::path& path, std::string_view text) {
    std::ofstream(path) << text;
}

template <class Function>
std::string refusal_of(Function function) {
    try {
        function();
    } catch (const ConfigError& error) {
        return error.what();
    }
    return "";
}

/// What `function` complains about when somebody runs it to whom the folders of the test belong
/// not: root may write everywhere.
template <class Function>
std::string complaint_of_nobody(Function function) {
    int ends[2];
    REQUIRE(::pipe(ends) == 0);
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        constexpr uid_t nobody = 65534;
        const bool changed = ::geteuid() != 0 || ::setuid(nobody) == 0;
        const auto text = changed ? refusal_of(function) : "cannot change the user"s;
        const bool told = ::write(ends[1], text.data(), text.size()) >= 0;
        ::_exit(told ? 0 : 1);
    }
    ::close(ends[1]);
    std::string text;
    char buffer[4096];
    for (ssize_t size; (size = ::read(ends[0], buffer, sizeof buffer)) > 0;)
        text.append(buffer, static_cast<std::size_t>(size));
    ::close(ends[0]);
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    return text;
}

}  // namespace

TEST_CASE("reading a file with a bound") {
    const Scratch scratch;
    const auto file = scratch.path / "file";
    CHECK_FALSE(read_file_if_there(file, 10).has_value());
    CHECK_FALSE(read_file_if_there(file / "below", 10).has_value());
    put(file, "1234567890");
    CHECK_FALSE(read_file_if_there(file / "below", 10).has_value());
    CHECK(read_file_if_there(file, 10) == "1234567890");
    CHECK(refusal_of([&] { read_file_if_there(file, 9); }) ==
          file.string() + " is larger than 9: surely not the file that is meant");
    CHECK(refusal_of([&] { read_file_if_there(scratch.path, 10); }) ==
          "cannot read " + scratch.path.string() + ": Is a directory");
    CHECK(refusal_of([] { read_file_if_there("/dev/zero", 4096); }) ==
          "/dev/zero is larger than 4.0K: surely not the file that is meant");
    put(file, "");
    CHECK(read_file_if_there(file, 0) == "");
}

TEST_CASE("secrets are for their owner alone and replaced as a whole") {
    const Scratch scratch;
    const auto file = scratch.path / "key";
    const auto before = ::umask(0);
    write_secret(file, "first, long");
    ::umask(before);
    CHECK(mode(file) == 0600);
    CHECK(contents(file) == "first, long");
    // A reader that has the old file open keeps all of it.
    std::ifstream reader(file);
    write_secret(file, "second");
    std::string old;
    std::getline(reader, old);
    CHECK(old == "first, long");
    CHECK(contents(file) == "second");
    fs::permissions(file, fs::perms::all);
    write_secret(file, "");
    CHECK(mode(file) == 0600);
    CHECK(contents(file).empty());
    CHECK(scratch.entries() == 1);
}

TEST_CASE("what a crash or somebody else left in the way of a secret does no harm") {
    const Scratch scratch;
    const auto file = scratch.path / "key";
    put(scratch.path / "other", "untouched");
    fs::create_symlink(scratch.path / "other", scratch.path / "key.new");
    write_secret(file, "secret");
    CHECK(contents(file) == "secret");
    CHECK(contents(scratch.path / "other") == "untouched");
    put(scratch.path / "key.new", "half a sec");
    fs::permissions(scratch.path / "key.new", fs::perms::all);
    write_secret(file, "secret 2");
    CHECK(contents(file) == "secret 2");
    CHECK(mode(file) == 0600);
    fs::remove(file);
    fs::create_symlink(scratch.path / "other", file);
    write_secret(file, "secret 3");
    CHECK(fs::is_regular_file(fs::symlink_status(file)));
    CHECK(contents(scratch.path / "other") == "untouched");
    CHECK(scratch.entries() == 2);
}

TEST_CASE("a secret that cannot be written says why and leaves nothing") {
    const Scratch scratch;
    CHECK(refusal_of([&] { write_secret(scratch.path / "no" / "key", "x"); }) ==
          "cannot write " + (scratch.path / "no" / "key.new").string() +
              ": No such file or directory");
    fs::create_directories(scratch.path / "key" / "full");
    CHECK(refusal_of([&] { write_secret(scratch.path / "key", "x"); }) ==
          "cannot write " + (scratch.path / "key").string() + ": Is a directory");
    CHECK(scratch.entries() == 1);
}

TEST_CASE("a secret beside the program is written too") {
    const Scratch scratch;
    const auto before = fs::current_path();
    fs::current_path(scratch.path);
    const auto said = refusal_of([] { write_secret("key", "x"); });
    fs::current_path(before);
    CHECK(said.empty());
    CHECK(contents(scratch.path / "key") == "x");
}

TEST_CASE("private folders") {
    const Scratch scratch;
    const auto folder = scratch.path / "a" / "b" / "c";
    make_private_folder(folder);
    CHECK(mode(folder) == 0700);
    make_private_folder(folder);
    fs::permissions(folder, fs::perms::all);
    make_private_folder(folder);
    CHECK(mode(folder) == 0700);
    make_private_folder(scratch.path / "slash" / "");
    CHECK(mode(scratch.path / "slash") == 0700);
}

TEST_CASE("a folder that many share, such as /tmp, is not closed for the others") {
    const Scratch scratch;
    const auto shared = scratch.path / "tmp";
    fs::create_directory(shared);
    REQUIRE(::chmod(shared.c_str(), 01777) == 0);
    make_private_folder(shared);
    CHECK(mode(shared) == 01777);
}

TEST_CASE("a folder that cannot be made or used says why") {
    const Scratch scratch;
    const auto file = scratch.path / "file";
    put(file, "text");
    const auto cannot_use =
        "cannot write into the state directory (choose another with "
        "--state-dir) "s;
    const auto cannot_make = "cannot make the state directory (choose another with --state-dir) "s;
    CHECK(refusal_of([&] { make_private_folder(file); }) ==
          cannot_use + file.string() + ": File exists");
    CHECK(refusal_of([&] { make_private_folder(file / "below"); }) ==
          cannot_make + (file / "below").string() + ": Not a directory");
    CHECK(refusal_of([&] { make_private_folder(file / "far" / "below"); }) ==
          cannot_make + (file / "far" / "below").string() + ": Not a directory");
    CHECK(contents(file) == "text");
}

TEST_CASE("a folder of somebody else says that it may not be used") {
    const Scratch scratch;
    const auto theirs = scratch.path / "theirs";
    fs::create_directory(theirs);
    REQUIRE(::chmod(scratch.path.c_str(), 0755) == 0);
    REQUIRE(::chmod(theirs.c_str(), 0555) == 0);
    const auto denied = ": Permission denied"s;
    CHECK(complaint_of_nobody([&] { make_private_folder(theirs); }) ==
          "cannot write into the state directory (choose another with --state-dir) " +
              theirs.string() + denied);
    for (const auto& below : {theirs / "state", theirs / "state" / "deep"})
        CHECK(complaint_of_nobody([&] { make_private_folder(below); }) ==
              "cannot make the state directory (choose another with --state-dir) " +
                  below.string() + denied);
    CHECK(complaint_of_nobody([&] { write_secret(theirs / "key", "x"); }) ==
          "cannot write " + (theirs / "key.new").string() + denied);
    CHECK(complaint_of_nobody([&] { FolderLock(theirs, "a master"); }) ==
          "cannot open " + (theirs / "lock").string() + denied);
}

TEST_CASE("a lock has one holder, whose process id is known") {
    const Scratch scratch;
    const auto me = std::to_string(::getpid());
    {
        const FolderLock lock(scratch.path, "a master");
        CHECK(refusal_of([&] { FolderLock(scratch.path, "a slave"); }) ==
              "a slave runs already in " + scratch.path.string() + " (process " + me +
                  "): stop it or choose another --state-dir");
        // The refusal neither took the lock away nor forgot the owner.
        CHECK_THROWS_AS(FolderLock(scratch.path, "a slave"), AlreadyRunningError);
        CHECK(contents(scratch.path / "lock") == me + "\n");
        CHECK(mode(scratch.path / "lock") == 0600);
    }
    CHECK(contents(scratch.path / "lock") == me + "\n");  // the file stays, and means nothing
    CHECK_NOTHROW(FolderLock(scratch.path, "a master"));
}

TEST_CASE("a lock forgets what stood in its file before") {
    const Scratch scratch;
    put(scratch.path / "lock", "99999999999999999999 and more of it\n");
    const FolderLock lock(scratch.path, "a master");
    CHECK(contents(scratch.path / "lock") == std::to_string(::getpid()) + "\n");
}

TEST_CASE("the kernel drops a lock with its holder") {
    const Scratch scratch;
    int ready[2];
    int end[2];
    REQUIRE(::pipe(ready) == 0);
    REQUIRE(::pipe(end) == 0);
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        ::close(end[1]);
        char byte = 'x';
        refusal_of([&] {
            const FolderLock lock(scratch.path, "a master");
            if (::write(ready[1], &byte, 1) != 1 || ::read(end[0], &byte, 1) != 0) ::_exit(2);
            ::_exit(0);  // without giving the lock back
        });
        ::_exit(3);
    }
    ::close(ready[1]);
    char byte = 0;
    REQUIRE(::read(ready[0], &byte, 1) == 1);
    CHECK_THROWS_AS(FolderLock(scratch.path, "a master"), AlreadyRunningError);
    ::close(end[1]);
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    CHECK(status == 0);
    CHECK_NOTHROW(FolderLock(scratch.path, "a master"));
    for (const int descriptor : {ready[0], end[0]}) ::close(descriptor);
}
