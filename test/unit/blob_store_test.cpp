#include "common/blob_store.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <functional>

#include "common/clock.hpp"
#include "common/limits.hpp"
#include "test/temporary_folder.hpp"

using namespace rpic;
using test::noise;

namespace {

constexpr auto part = static_cast<std::int64_t>(limits::chunk_bytes);

/// Puts parts from `offset` on until `end`; gives what the last answer said.
std::int64_t put(BlobStore& store, const std::string& blob, const std::string& bytes,
                 std::int64_t offset, std::int64_t end) {
    const auto size = static_cast<std::int64_t>(bytes.size());
    std::int64_t received = 0;
    for (; offset < end; offset += part) {
        const auto count = static_cast<std::size_t>(std::min(part, end - offset));
        received = store.put_chunk(
            blob, size, offset,
            std::string_view(bytes).substr(static_cast<std::size_t>(offset), count));
    }
    return received;
}

std::string code_of(const std::function<void()>& work) {
    try {
        work();
    } catch (const FileError& error) {
        return error.code;
    }
    return "nothing";
}

void age_file(const std::filesystem::path& file, std::int64_t seconds) {
    const timespec past{static_cast<time_t>(wall_seconds() - seconds), 0};
    const timespec times[] = {past, past};
    REQUIRE(::utimensat(AT_FDCWD, file.c_str(), times, 0) == 0);
}

void age(const BlobStore& store, const std::string& blob, std::int64_t seconds) {
    age_file(store.path_of(blob), seconds);
}

}  // namespace

TEST_CASE("a blob that is put in parts is read back in parts, and not before it is whole",
          "[blobs]") {
    test::TemporaryFolder folder;
    BlobStore store(folder.path() / "blobs");
    const auto bytes = noise(3 * limits::chunk_bytes + 17);
    const auto size = static_cast<std::int64_t>(bytes.size());
    const auto blob = sha256_hex(bytes);
    CHECK(put(store, blob, bytes, 0, 2 * part) == 2 * part);
    CHECK_FALSE(store.has(blob));
    CHECK(code_of([&] { store.get_chunk(blob, 0); }) == "not_found");
    CHECK(put(store, blob, bytes, 2 * part, size) == size);
    CHECK(store.has(blob));
    std::string read;
    while (static_cast<std::int64_t>(read.size()) < size) {
        const auto piece = store.get_chunk(blob, static_cast<std::int64_t>(read.size()));
        CHECK(piece.size == size);
        REQUIRE_FALSE(piece.bytes.empty());
        read += piece.bytes;
    }
    CHECK(read == bytes);
    CHECK(store.bytes() == size);
    struct stat status {};
    REQUIRE(::stat(store.path_of(blob).c_str(), &status) == 0);
    CHECK((status.st_mode & 0777) == 0400);
    CHECK(std::filesystem::is_empty(folder.path() / "blobs/incoming"));
}

TEST_CASE("to ask how much there is makes nothing", "[blobs]") {
    test::TemporaryFolder folder;
    BlobStore store(folder.path() / "blobs");
    CHECK(store.bytes() == 0);
    CHECK_FALSE(std::filesystem::exists(folder.path() / "blobs"));
}

TEST_CASE("an upload goes on where it was, also in another run of the program", "[blobs]") {
    test::TemporaryFolder folder;
    const auto bytes = noise(3 * limits::chunk_bytes + 17);
    const auto size = static_cast<std::int64_t>(bytes.size());
    const auto blob = sha256_hex(bytes);
    BlobStore first(folder.path());
    put(first, blob, bytes, 0, 2 * part);
    BlobStore second(folder.path());
    CHECK(second.bytes() == 2 * part);
    SECTION("asked for by an empty part at the end") {
        CHECK(second.put_chunk(blob, size, size, "") == 2 * part);
    }
    SECTION("told to who sends another part than the next") {
        const auto last = bytes.substr(3 * limits::chunk_bytes);
        CHECK(second.put_chunk(blob, size, 3 * part, last) == 2 * part);
    }
    CHECK(put(second, blob, bytes, 2 * part, size) == size);
    CHECK(second.has(blob));
    CHECK(second.bytes() == size);
    CHECK(second.put_chunk(blob, size, size, "") == size);
}

TEST_CASE("a part at 0 starts an upload anew", "[blobs]") {
    test::TemporaryFolder folder;
    BlobStore store(folder.path());
    const auto bytes = noise(2 * limits::chunk_bytes);
    const auto blob = sha256_hex(bytes);
    const auto wrong = noise(limits::chunk_bytes, 2);
    CHECK(store.put_chunk(blob, 2 * part, 0, wrong) == part);
    CHECK(put(store, blob, bytes, 0, 2 * part) == 2 * part);
    CHECK(store.has(blob));
    CHECK(store.bytes() == 2 * part);
}

TEST_CASE("what has another hash than announced is thrown away", "[blobs]") {
    test::TemporaryFolder folder;
    BlobStore store(folder.path());
    const auto blob = sha256_hex("hello");
    CHECK(code_of([&] { store.put_chunk(blob, 5, 0, "hallo"); }) == "conflict");
    CHECK_FALSE(store.has(blob));
    CHECK(store.bytes() == 0);
    CHECK(store.put_chunk(blob, 5, 0, "hello") == 5);
    CHECK(store.has(blob));
}

TEST_CASE("what an earlier run has left whole becomes a blob, or is thrown away", "[blobs]") {
    test::TemporaryFolder folder;
    const auto bytes = noise(2 * limits::chunk_bytes + 17);
    const auto size = static_cast<std::int64_t>(bytes.size());
    const auto blob = sha256_hex(bytes);
    const auto incoming = folder.path() / "incoming" / blob;
    SECTION("a blob, to who fetches it") {
        test::write_text(incoming, bytes);
        BlobStore store(folder.path());
        CHECK(store.received(blob, size) == size);
        CHECK(store.has(blob));
        CHECK(store.bytes() == size);
    }
    SECTION("a blob, to who puts it") {
        test::write_text(incoming, bytes);
        BlobStore store(folder.path());
        CHECK(store.put_chunk(blob, size, part, bytes.substr(part, part)) == size);
        CHECK(store.has(blob));
    }
    SECTION("thrown away, so that it is fetched anew") {
        test::write_text(incoming, noise(bytes.size(), 2));
        BlobStore store(folder.path());
        CHECK(store.received(blob, size) == 0);
        CHECK_FALSE(store.has(blob));
        CHECK(store.bytes() == 0);
        CHECK(put(store, blob, bytes, 0, size) == size);
        CHECK(store.has(blob));
    }
    SECTION("thrown away, so that it is put anew") {
        test::write_text(incoming, noise(bytes.size(), 2));
        BlobStore store(folder.path());
        CHECK(store.put_chunk(blob, size, size, "") == 0);
        CHECK(put(store, blob, bytes, 0, size) == size);
    }
}

TEST_CASE("a blob that the disk does not take at its end is sent anew", "[blobs]") {
    test::TemporaryFolder folder;
    BlobStore store(folder.path());
    const auto blob = sha256_hex("hello");
    // The folder of the blob cannot be made, and is none.
    store.bytes();
    const auto in_the_way = store.path_of(blob).parent_path();
    std::filesystem::create_symlink("nowhere", in_the_way);
    CHECK(code_of([&] { store.put_chunk(blob, 5, 0, "hello"); }) == "not_found");
    CHECK_FALSE(store.has(blob));
    CHECK(store.bytes() == 0);
    CHECK(store.received(blob, 5) == 0);
    std::filesystem::remove(in_the_way);
    CHECK(store.put_chunk(blob, 5, 5, "") == 0);
    CHECK(store.put_chunk(blob, 5, 0, "hello") == 5);
    CHECK(store.has(blob));
    CHECK(store.bytes() == 5);
}

TEST_CASE("an empty file is a blob too", "[blobs]") {
    test::TemporaryFolder folder;
    BlobStore store(folder.path());
    const auto blob = sha256_hex("");
    CHECK(store.put_chunk(blob, 0, 0, "") == 0);
    CHECK(store.has(blob));
    CHECK(store.get_chunk(blob, 0).bytes.empty());
}

TEST_CASE("requests that make no sense are refused", "[blobs]") {
    test::TemporaryFolder folder;
    BlobStore store(folder.path());
    const auto blob = sha256_hex("hello");
    CHECK(code_of([&] { store.has("../../etc/passwd"); }) == "bad_request");
    CHECK(code_of([&] { store.put_chunk("x", 5, 0, "hello"); }) == "bad_request");
    CHECK(code_of([&] { store.put_chunk(blob, 5, 1, "hello"); }) == "bad_request");
    CHECK(code_of([&] { store.put_chunk(blob, -1, 0, ""); }) == "bad_request");
    CHECK(code_of([&] { store.put_chunk(blob, limits::blob_bytes + 1, 0, "x"); }) == "bad_request");
    CHECK(code_of([&] { store.put_chunk(blob, 5, -3, "x"); }) == "bad_request");
    store.put_bytes("hello");
    CHECK(code_of([&] { store.get_chunk(blob, 6); }) == "bad_request");
    CHECK(code_of([&] { store.get_chunk(blob, -1); }) == "bad_request");
    CHECK(code_of([&] { store.put_chunk(blob, 6, 0, "hello!"); }) == "bad_request");
}

TEST_CASE("a disk that has to keep more free than it has takes nothing", "[blobs]") {
    test::TemporaryFolder folder;
    BlobStore store(folder.path(), std::int64_t{1} << 60);
    CHECK(code_of([&] { store.put_chunk(sha256_hex("hello"), 5, 0, "hello"); }) == "full");
    CHECK(code_of([&] { store.put_bytes("hello"); }) == "full");
    CHECK(store.bytes() == 0);
    CHECK(store.put_chunk(sha256_hex("hello"), 5, 0, "hello", 0) == 5);
}

TEST_CASE("a full disk says how much room is wanting", "[blobs]") {
    test::TemporaryFolder folder;
    const std::int64_t keep_free = std::int64_t{1} << 60;
    BlobStore store(folder.path() / "blobs", keep_free);
    std::int64_t wanting = 0;
    try {
        put(store, sha256_hex("x"), "x", 0, 1);
    } catch (const FileError& error) {
        wanting = error.short_bytes;
    }
    CHECK(wanting > 0);
    CHECK(wanting <= keep_free + 1);
}

TEST_CASE("what did not come whole is dropped when nobody goes on with it", "[blobs]") {
    test::TemporaryFolder folder;
    const auto first = noise(2 * limits::chunk_bytes, 1);
    const auto second = noise(2 * limits::chunk_bytes, 2);
    const auto third = noise(2 * limits::chunk_bytes, 3);
    {
        BlobStore earlier(folder.path() / "blobs");
        put(earlier, sha256_hex(first), first, 0, part);
    }
    BlobStore store(folder.path() / "blobs");
    put(store, sha256_hex(second), second, 0, part);
    put(store, sha256_hex(third), third, 0, part);
    CHECK(store.bytes() == 3 * part);
    store.drop_partials_except({sha256_hex(third)});
    CHECK(store.bytes() == part);
    CHECK(store.received(sha256_hex(first), 2 * part) == 0);
    CHECK(store.received(sha256_hex(second), 2 * part) == 0);
    CHECK(put(store, sha256_hex(third), third, part, 2 * part) == 2 * part);
    store.drop_partial(sha256_hex(third));
    CHECK(store.has(sha256_hex(third)));
}

TEST_CASE("the longest unused blobs make room, pinned ones stay", "[blobs]") {
    test::TemporaryFolder folder;
    BlobStore store(folder.path());
    const auto old = store.put_bytes(noise(1000, 1));
    const auto older = store.put_bytes(noise(1000, 2));
    const auto pinned = store.put_bytes(noise(1000, 3));
    const auto fresh = store.put_bytes(noise(1000, 4));
    age(store, old, 10'000);
    age(store, older, 20'000);
    age(store, pinned, 30'000);
    CHECK(store.evict(4000, {}, Instant{}) == 4000);
    CHECK(store.evict(2500, {pinned}, Instant{}) == 2000);
    CHECK(store.missing({old, older, pinned, fresh}) == std::vector{old, older});
    CHECK(store.evict(0, {pinned}, Instant{}) == 1000);
    CHECK(BlobStore(folder.path()).bytes() == 1000);
}

TEST_CASE("what cannot be deleted stays, and others go", "[blobs]") {
    test::TemporaryFolder folder;
    BlobStore store(folder.path());
    const auto stuck = store.put_bytes(noise(1000, 1));
    const auto other = store.put_bytes(noise(1000, 2));
    // A folder in its place, as on a damaged file system, is not unlinked.
    std::filesystem::remove(store.path_of(stuck));
    std::filesystem::create_directory(store.path_of(stuck));
    test::write_text(store.path_of(stuck) / "file", "x");
    age(store, stuck, 20'000);
    age(store, other, 10'000);
    CHECK_NOTHROW(store.evict(0, {}, Instant{}));
    CHECK(store.missing({stuck, other}) == std::vector{other});
    // A file in the place of a folder cannot be read as one.
    test::write_text(folder.path() / "zz", "");
    CHECK_NOTHROW(store.evict(0, {}, Instant{}));
}

TEST_CASE("blobs that nobody has used for long go, however much room there is", "[blobs]") {
    test::TemporaryFolder folder;
    BlobStore store(folder.path());
    const auto old = store.put_bytes(noise(1000, 1));
    const auto pinned = store.put_bytes(noise(1000, 2));
    const auto held = store.put_bytes(noise(1000, 3));
    const auto fresh = store.put_bytes(noise(1000, 4));
    for (const auto& blob : {old, pinned, held}) age(store, blob, 10'000);
    store.hold(held, Instant{});
    CHECK(store.evict(9000, {pinned}, Instant{}, std::chrono::seconds(20'000)) == 4000);
    CHECK(store.evict(9000, {pinned}, Instant{}, std::chrono::seconds(9'000)) == 3000);
    CHECK(store.missing({old, pinned, held, fresh}) == std::vector{old});
}

TEST_CASE("what is about to be named is not evicted", "[blobs]") {
    test::TemporaryFolder folder;
    BlobStore store(folder.path());
    const auto held = store.put_bytes(noise(1000, 1));
    const auto other = store.put_bytes(noise(1000, 2));
    age(store, held, 10'000);
    const Instant now{};
    store.hold(held, now);
    CHECK(store.evict(0, {}, now + limits::blob_held - std::chrono::seconds(1)) == 1000);
    CHECK(store.missing({held, other}) == std::vector{other});
    SECTION("for a while") {
        CHECK(store.evict(0, {}, now + limits::blob_held) == 0);
    }
    SECTION("or until it is named") {
        CHECK(store.evict(0, {held}, now) == 1000);
        CHECK(store.evict(0, {}, now) == 0);
    }
}

TEST_CASE("an upload that nobody continues for a day is deleted", "[blobs]") {
    test::TemporaryFolder folder;
    BlobStore store(folder.path());
    const auto bytes = noise(3 * limits::chunk_bytes);
    const auto blob = sha256_hex(bytes);
    const auto incoming = folder.path() / "incoming" / blob;
    store.put_bytes(noise(1000));
    put(store, blob, bytes, 0, 2 * part);
    CHECK(store.partial_bytes() == 2 * part);
    age_file(incoming, 23 * 3600);
    CHECK(store.evict(10 * part, {}, Instant{}) == 1000);
    CHECK(store.bytes() == 1000 + 2 * part);
    SECTION("whatever room there is") {
        age_file(incoming, 25 * 3600);
        CHECK(store.evict(10 * part, {}, Instant{}) == 1000);
        CHECK_FALSE(std::filesystem::exists(incoming));
        CHECK(store.evict(0, {}, Instant{}) == 0);
        CHECK(store.bytes() == 0);
        CHECK(put(store, blob, bytes, 0, 3 * part) == 3 * part);
        CHECK(store.has(blob));
    }
    SECTION("also one that an earlier run has left") {
        age_file(incoming, 23 * 3600);
        BlobStore later(folder.path());
        CHECK(later.partial_bytes() == 2 * part);
        age_file(incoming, 25 * 3600);
        later.evict_partial(10 * part);
        CHECK(later.bytes() == 1000);
    }
    SECTION("but not one that goes on") {
        age_file(incoming, 25 * 3600);
        put(store, blob, bytes, 2 * part, 2 * part + 10);
        store.evict_partial(0);
        CHECK(store.partial_bytes() == 2 * part + 10);
    }
    SECTION("also if the clock was wrong when it came") {
        age_file(incoming, -30 * 24 * 3600);
        store.evict_partial(10 * part);
        struct stat status {};
        REQUIRE(::stat(incoming.c_str(), &status) == 0);
        CHECK(status.st_mtime <= wall_seconds());
    }
}

TEST_CASE("of uploads that are too much together the oldest go, but none that goes on", "[blobs]") {
    test::TemporaryFolder folder;
    BlobStore store(folder.path());
    const auto begin = [&](unsigned seed, std::int64_t age_seconds) {
        const auto bytes = noise(2 * limits::chunk_bytes, seed);
        put(store, sha256_hex(bytes), bytes, 0, part);
        age_file(folder.path() / "incoming" / sha256_hex(bytes), age_seconds);
        return folder.path() / "incoming" / sha256_hex(bytes);
    };
    const auto fresh = begin(1, 60);
    const auto old = begin(2, 3600);
    const auto older = begin(3, 7200);
    store.evict_partial(3 * part);
    CHECK(store.partial_bytes() == 3 * part);
    store.evict_partial(3 * part - 1);
    CHECK_FALSE(std::filesystem::exists(older));
    CHECK(std::filesystem::exists(old));
    store.evict_partial(0);
    CHECK_FALSE(std::filesystem::exists(old));
    CHECK(std::filesystem::exists(fresh));
    CHECK(store.bytes() == part);
}

TEST_CASE("the use of a blob is noted, but at most once an hour", "[blobs]") {
    test::TemporaryFolder folder;
    BlobStore store(folder.path());
    const auto blob = store.put_bytes("hello");
    const auto used_at = [&] { return store.list().at(0).used_at; };
    age(store, blob, 1800);
    const auto before = used_at();
    store.has(blob);
    CHECK(used_at() == before);
    age(store, blob, 4000);
    store.has(blob);
    CHECK(used_at() > before);
    age(store, blob, -4000);
    store.has(blob);
    CHECK(used_at() <= wall_seconds());
    age(store, blob, 4000);
    const auto aged = used_at();
    CHECK(store.read(blob, 10, BlobStore::Use::unnoted) == "hello");
    CHECK(used_at() == aged);
    CHECK(store.read(blob, 10) == "hello");
    CHECK(used_at() > aged);
}

TEST_CASE("a file of this machine becomes a blob in steps", "[blobs]") {
    test::TemporaryFolder folder;
    BlobStore store(folder.path() / "blobs");
    const auto bytes = noise(limits::file_step_bytes + 1000);
    test::write_text(folder.path() / "file", bytes);
    const auto put_file = [&] {
        Descriptor file(::open((folder.path() / "file").c_str(), O_RDONLY | O_CLOEXEC));
        BlobStore::Intake intake(store, std::move(file));
        CHECK_FALSE(intake.step());
        CHECK(store.partial_bytes() > 0);
        while (!intake.step()) continue;
        return intake.blob();
    };
    CHECK(put_file() == sha256_hex(bytes));
    CHECK(put_file() == sha256_hex(bytes));
    CHECK(store.partial_bytes() == 0);
    CHECK(store.bytes() == static_cast<std::int64_t>(bytes.size()));
    CHECK(test::read_text(store.path_of(sha256_hex(bytes))) == bytes);
    CHECK(std::filesystem::is_empty(folder.path() / "blobs/incoming"));
}

TEST_CASE("a file whose hash is known is taken as it is", "[blobs]") {
    test::TemporaryFolder folder;
    BlobStore store(folder.path() / "blobs");
    test::write_text(folder.path() / "file", "hello");
    const auto blob = sha256_hex("hello");
    store.take(folder.path() / "file", blob);
    CHECK_FALSE(std::filesystem::exists(folder.path() / "file"));
    CHECK(store.get_chunk(blob, 0).bytes == "hello");
    CHECK(store.bytes() == 5);
    CHECK(store.partial_bytes() == 0);
    CHECK(code_of([&] { store.take(folder.path() / "file", blob); }) == "not_found");
    CHECK(store.bytes() == 5);
}

TEST_CASE("more uploads at once than are kept open all come to their end", "[blobs]") {
    test::TemporaryFolder folder;
    BlobStore store(folder.path());
    std::vector<std::string> files;
    for (unsigned i = 0; i < limits::partial_blobs + 8; ++i)
        files.push_back(noise(limits::chunk_bytes + 10, i + 1));
    for (const auto& bytes : files) put(store, sha256_hex(bytes), bytes, 0, part);
    for (const auto& bytes : files) put(store, sha256_hex(bytes), bytes, part, part + 10);
    for (const auto& bytes : files) CHECK(store.has(sha256_hex(bytes)));
}
