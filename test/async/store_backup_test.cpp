#include <sys/stat.h>

#include <catch2/catch.hpp>

#include "common/errors.hpp"
#include "common/limits.hpp"
#include "common/until_first_failure.hpp"
#include "master/store/backup.hpp"
#include "test/async/store_world.hpp"

using namespace rpic;
using test::ended;
using test::get;
using test::new_job;
using test::StoreWorld;

namespace {

std::string output_records(std::string_view text) {
    std::string out;
    append_output(out, OutputStream::out, text);
    return out;
}

/// Commits results until the backup is there.
asio::awaitable<void> backup_under_load(Store& store, std::filesystem::path file,
                                        std::int64_t& size) {
    const auto made = co_await store.backup(std::move(file));
    size = made.size;
    CHECK(made.sha256.size() == 64);
}

asio::awaitable<void> load(Store& store, Position& committed) {
    const std::string output = output_records(std::string(30'000, 'x'));
    for (;;) {
        StoreBatch batch;
        batch.emplace_back(ended(1, committed, output));
        batch.emplace_back(new_job(100 + committed));
        batch.emplace_back(DropKey{"a key that is revoked meanwhile"});
        co_await store.commit(std::move(batch));
        ++committed;
    }
}

std::string contents_of(const std::filesystem::path& file) {
    std::ifstream stream(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(stream), {}};
}

void write(const std::filesystem::path& file, const std::string& bytes) {
    std::ofstream(file, std::ios::binary) << bytes;
}

std::string refusal(const std::filesystem::path& file, const std::filesystem::path& folder) {
    try {
        restore_backup(file, folder);
        return "none";
    } catch (const ConfigError& error) {
        return error.what();
    }
}

}  // namespace

TEST_CASE("a backup of a working store is a store") {
    StoreWorld world;
    world.commit({new_job(1, 1'000'000), SetMeta{meta_next_job, 2}});
    for (JobId id = 1000; id < 4000; ++id) world.store->record({new_job(id)});
    const auto blob = world.put_blob(std::string(3'000'000, 'b'));
    const auto file = world.folder.path() / "backup.tar";
    Position committed = 0;
    std::int64_t size = 0;
    test::run_all(world.io, until_first_failure(backup_under_load(*world.store, file, size),
                                                load(*world.store, committed)));
    CHECK(committed > 0);
    CHECK(static_cast<std::uintmax_t>(size) == std::filesystem::file_size(file));
    struct stat status {};
    REQUIRE(::stat(file.c_str(), &status) == 0);
    CHECK((status.st_mode & 0777) == 0600);
    for (const auto& entry : std::filesystem::directory_iterator(world.folder.path()))
        CHECK(entry.path().extension() != ".partial");

    test::TemporaryFolder other;
    const auto folder = other.path() / "state/master";
    const auto restored = restore_backup(file, folder);
    CHECK(restored.epoch == 2);
    CHECK(restored.files >= 1);
    Store store(world.io.get_executor(), folder / "store.db");
    const auto contents = store.load();
    CHECK(contents.cluster == world.contents.cluster);
    CHECK(contents.epoch == 2);
    CHECK(contents.next_job % 1000 == 0);
    CHECK(contents.next_job >= 3999 + 1000);
    REQUIRE(contents.jobs.size() >= 3001);
    const auto& states = contents.jobs[0].states;
    CHECK(static_cast<Position>(states.size()) <= committed);
    for (Position i = 0; i < static_cast<Position>(states.size()); ++i) {
        const auto output = get(world.io, store.output(1, i, 0, 100'000));
        CHECK(output.bytes == output_records(std::string(30'000, 'x')));
    }
    CHECK(contents_of(folder / "blobs" / blob.substr(0, 2) / blob.substr(2)) ==
          std::string(3'000'000, 'b'));
}

TEST_CASE("each restore counts the epoch up and jumps ahead with the job ids") {
    StoreWorld world;
    world.commit({new_job(7), SetMeta{meta_next_job, 1001}});
    const auto first = world.folder.path() / "first";
    get(world.io, world.store->backup(first));
    test::TemporaryFolder other;
    CHECK(restore_backup(first, other.path()).epoch == 2);
    Store store(world.io.get_executor(), other.path() / "store.db");
    CHECK(store.load().next_job == 3000);
    const auto second = world.folder.path() / "second";
    get(world.io, store.backup(second));
    test::TemporaryFolder third;
    CHECK(restore_backup(second, third.path()).epoch == 3);
}

TEST_CASE("a backup replaces an older one, and one at a time is made") {
    StoreWorld world;
    world.commit({new_job(1), ended(1, 0, output_records(std::string(5'000'000, 'x')))});
    const auto file = world.folder.path() / "backup.tar";
    write(file, "old");
    auto first = world.store->backup(file);
    auto second = world.store->backup(world.folder.path() / "other.tar");
    CHECK_THROWS_WITH(get(world.io, std::move(second)), Catch::Matchers::Contains("another"));
    const auto made = get(world.io, std::move(first));
    CHECK(made.size > 5'000'000);
    CHECK(made.sha256 == sha256_hex(contents_of(file)));
    CHECK_FALSE(std::filesystem::exists(world.folder.path() / "other.tar"));
    // After one that failed the next one is made.
    CHECK_THROWS(get(world.io, world.store->backup(world.folder.path() / "no/such/folder")));
    CHECK_THROWS(get(world.io, world.store->backup(world.folder.path())));
    CHECK(get(world.io, world.store->backup(file)).size > 5'000'000);
}

TEST_CASE("a backup that nobody waits for any more is given up") {
    StoreWorld world;
    world.put_blob(std::string(20'000'000, 'b'));
    const auto file = world.folder.path() / "backup.tar";
    { const auto unwanted = world.store->backup(file); }
    get(world.io, world.store->items({}));  // the store has come to it
    CHECK_FALSE(std::filesystem::exists(file));
    CHECK_FALSE(std::filesystem::exists(file.native() + ".partial"));
    CHECK_FALSE(std::filesystem::exists(file.native() + ".copy"));
    CHECK(get(world.io, world.store->backup(file)).size > 20'000'000);
}

TEST_CASE("outputs of jobs dropped during a backup are in it") {
    StoreWorld world;
    const auto output = output_records(std::string(4'000'000, 'x'));
    world.commit({new_job(1), ended(1, 0, output)});
    auto backup = world.store->backup(world.folder.path() / "backup.tar");
    world.store->record({DropJobs{{1}}});
    get(world.io, std::move(backup));
    test::TemporaryFolder other;
    restore_backup(world.folder.path() / "backup.tar", other.path());
    Store store(world.io.get_executor(), other.path() / "store.db");
    // The copy of the database may be older or newer than the drop; it agrees with the files.
    if (!store.load().jobs.empty())
        CHECK(get(world.io, store.output(1, 0, 0, 5'000'000)).bytes == output);
}

TEST_CASE("a folder in use is not restored into") {
    StoreWorld world;
    world.commit({new_job(1)});
    const auto file = world.folder.path() / "backup.tar";
    get(world.io, world.store->backup(file));
    CHECK_THAT(refusal(file, world.folder.path()), Catch::Matchers::Contains("holds store.db"));
    test::TemporaryFolder other;
    std::filesystem::create_directories(other.path() / "outputs/1");
    CHECK_THAT(refusal(file, other.path()), Catch::Matchers::Contains("holds outputs"));
    std::filesystem::remove(other.path() / "outputs/1");
    std::filesystem::create_directories(other.path() / "restore.partial/left/over");
    CHECK(refusal(file, other.path()) == "none");
    CHECK_FALSE(std::filesystem::exists(other.path() / "restore.partial"));
}

TEST_CASE("a damaged backup is refused as a whole") {
    StoreWorld world;
    world.commit({new_job(1), ended(1, 0, output_records(std::string(50'000, 'x')))});
    const auto file = world.folder.path() / "backup.tar";
    get(world.io, world.store->backup(file));
    const auto good = contents_of(file);
    test::TemporaryFolder other;
    const auto folder = other.path() / "master";
    const auto bad = other.path() / "bad.tar";
    const auto refused = [&](const std::string& bytes) {
        write(bad, bytes);
        const auto reason = refusal(bad, folder);
        CHECK_THAT(reason, Catch::Matchers::StartsWith("cannot restore " + bad.string() + ": "));
        CHECK(std::filesystem::is_empty(folder));
        return reason;
    };
    refused("");
    refused(std::string(5000, '\0'));
    CHECK_THAT(refused(std::string(5000, 'x')), Catch::Matchers::Contains("not a backup"));
    for (std::size_t size = 1; size < good.size() - 1024; size += good.size() / 40)
        refused(good.substr(0, size));
    // One bit anywhere in what is packed.
    for (std::size_t place = 3; place < good.size() - 512; place += good.size() / 60) {
        auto changed = good;
        changed[place] = static_cast<char>(changed[place] ^ 4);
        INFO(place);
        refused(changed);
    }
    CHECK_THAT(refusal(other.path() / "none.tar", folder), Catch::Matchers::Contains("No such"));
    // The names inside decide nothing about places outside.
    for (const auto* name : {"../store.db", "/etc/passwd", "outputs/1/../../x.seg", "outputs/1/x",
                             "blobs/aa/..", "join.key"}) {
        TarWriter archive(bad);
        archive.begin(name, 1);
        archive.append("x");
        archive.end();
        archive.finish();
        CHECK_THAT(refusal(bad, folder), Catch::Matchers::Contains("which no backup does"));
    }
    // Whatever is well packed must still be a database.
    TarWriter archive(bad);
    archive.begin("store.db", 5);
    archive.append("hello");
    archive.end();
    archive.finish();
    CHECK_THAT(refusal(bad, folder), Catch::Matchers::Contains("not a database"));
    CHECK(refusal(file, folder) == "none");
}

TEST_CASE("tar reads what is written, and large sizes go through") {
    test::TemporaryFolder folder;
    const auto file = folder.path() / "a.tar";
    {
        TarWriter archive(file);
        for (const std::size_t size : {0u, 1u, 511u, 512u, 513u, 100'000u}) {
            archive.begin("file" + std::to_string(size), static_cast<std::int64_t>(size));
            archive.append(std::string(size, 'x'));
            archive.end();
        }
        archive.finish();
        CHECK(static_cast<std::uintmax_t>(archive.size()) == std::filesystem::file_size(file));
        CHECK_THROWS(archive.begin(std::string(100, 'n'), 1));
    }
    TarReader archive(file);
    TarReader::Member member;
    int members = 0;
    while (archive.next(member)) {
        ++members;
        CHECK(member.name == "file" + std::to_string(member.size));
        if (member.size == 511) continue;  // what is not read is skipped
        std::int64_t size = 0;
        for (auto bytes = archive.read(1000); !bytes.empty(); bytes = archive.read(1000))
            size += static_cast<std::int64_t>(bytes.size());
        CHECK(size == member.size);
    }
    CHECK(members == 6);
    {
        TarWriter large(file);
        large.begin("large", std::int64_t{20} << 30);
    }
    TarReader reader(file);
    REQUIRE(reader.next(member));
    CHECK(member.size == std::int64_t{20} << 30);
}
