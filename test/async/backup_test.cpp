#include <catch2/catch.hpp>
#include <fstream>

#include "common/sleep.hpp"
#include "test/async/test_master.hpp"

using namespace rpic;
using test::connect;
using test::receive;
using test::TestMaster;
namespace fs = std::filesystem;

namespace {

/// A backup of this takes a while.
void put_large_blob(const Context& context) {
    const auto path = context.blobs.path_of(std::string(64, 'a'));
    fs::create_directories(path.parent_path());
    std::ofstream(path).put('x');
    fs::resize_file(path, 48 << 20);
}

fs::path partial_file(const Context& context) {
    return context.backup_file().native() + ".partial";
}

asio::awaitable<Connection> admin_client(TestMaster& master) {
    const TlsClient admin(master.admin_key());
    Connection client = co_await connect(master, admin);
    client.set_frame_limits(limits::control_frame_bytes, limits::chunk_bytes);
    client.send(test::client_hello());
    co_await receive<ToClient>(client);
    co_return client;
}

asio::awaitable<ToClient> ask_for_backup(Connection& client) {
    client.send(MakeBackup{7});
    auto answer = co_await receive<ToClient>(client);
    co_return answer;
}

asio::awaitable<void> until_packing(Context& context, bool packing) {
    const Duration pause = std::chrono::milliseconds(1);
    while (fs::exists(partial_file(context)) != packing) co_await sleep_for(pause);
}

}  // namespace

TEST_CASE("a backup comes back as it was made, and is no part of the next one") {
    TestMaster master;
    master.run([](TestMaster& m) -> asio::awaitable<void> {
        Connection client = co_await admin_client(m);
        const auto first = co_await ask_for_backup(client);
        const auto made = std::get<BackupMade>(first);
        GetChunk get;
        get.id = 8;
        get.blob = made.blob;
        Sha256 hash;
        while (get.offset < made.size) {
            client.send(get);
            const Frame frame = co_await client.next_frame();
            hash.update(frame.raw);
            get.offset += static_cast<std::int64_t>(frame.raw.size());
        }
        CHECK(hash.finish() == made.blob);
        CHECK(m.context.blobs.list().empty());
        const auto second = co_await ask_for_backup(client);
        CHECK(std::get<BackupMade>(second).size == made.size);
        CHECK_FALSE(fs::exists(m.context.backup_file()));
    }(master));
}

TEST_CASE("a backup whose client goes away is given up and leaves nothing") {
    TestMaster master;
    put_large_blob(master.context);
    master.run([](TestMaster& m) -> asio::awaitable<void> {
        {
            Connection client = co_await admin_client(m);
            client.send(MakeBackup{7});
            co_await until_packing(m.context, true);
        }
        co_await until_packing(m.context, false);
        CHECK_FALSE(fs::exists(m.context.backup_file()));
        CHECK(m.context.backups.list().empty());
        fs::remove(m.context.blobs.path_of(std::string(64, 'a')));
        Connection client = co_await admin_client(m);
        const auto answer = co_await ask_for_backup(client);
        CHECK(std::holds_alternative<BackupMade>(answer));
    }(master));
}

TEST_CASE("of two backups at once the second is refused, in words") {
    TestMaster master;
    put_large_blob(master.context);
    master.run([](TestMaster& m) -> asio::awaitable<void> {
        Connection first = co_await admin_client(m);
        Connection second = co_await admin_client(m);
        first.send(MakeBackup{7});
        co_await until_packing(m.context, true);
        const auto refused = co_await ask_for_backup(second);
        CHECK(std::get<Failed>(refused).id == 7);
        CHECK(std::get<Failed>(refused).code == "conflict");
        CHECK_THAT(std::get<Failed>(refused).reason, Catch::Matchers::Contains("try again"));
        const auto answer = co_await receive<ToClient>(first);
        CHECK(std::holds_alternative<BackupMade>(answer));
    }(master));
}

TEST_CASE("what the store cannot do is told to the client, whose connection goes on") {
    TestMaster master;
    fs::create_directories(master.context.backup_file() / "in the way");
    master.run([](TestMaster& m) -> asio::awaitable<void> {
        Connection client = co_await admin_client(m);
        const auto answer = co_await ask_for_backup(client);
        CHECK(std::get<Failed>(answer).code == "failed");
        CHECK_THAT(std::get<Failed>(answer).reason, Catch::Matchers::Contains("is not a file"));
        client.send(ListNodes{3});
        const auto list = co_await receive<ToClient>(client);
        CHECK(std::holds_alternative<NodeList>(list));
    }(master));
}

TEST_CASE("a backup that an earlier master has left is removed at the start") {
    test::TemporaryFolder folder;
    for (const auto* name : {"backup.tar", "backup.tar.partial", "backup/ab/cd"})
        test::write_text(folder.path() / name, "x");
    asio::io_context io;
    const Context context(io.get_executor(), test::options_in(folder.path(), false));
    CHECK_FALSE(fs::exists(folder.path() / "backup.tar"));
    CHECK_FALSE(fs::exists(folder.path() / "backup.tar.partial"));
    CHECK_FALSE(fs::exists(folder.path() / "backup"));
}
