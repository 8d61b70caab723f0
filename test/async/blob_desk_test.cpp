#include <sys/stat.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <csignal>
#include <thread>

#include "cli/download.hpp"
#include "cli/upload.hpp"
#include "common/keys.hpp"
#include "common/limits.hpp"
#include "common/self_stats.hpp"
#include "master/blob_desk.hpp"
#include "test/async/loopback.hpp"
#include "test/temporary_folder.hpp"

using namespace rpic;
namespace fs = std::filesystem;

namespace {

/// A master that knows blobs and nothing else, on a thread of its own because the command's client
/// blocks.
class DeskMaster {
  public:
    explicit DeskMaster(const fs::path& folder, std::int64_t keep_free_bytes = 0)
        : store(folder, keep_free_bytes),
          files_(io_.get_executor()),
          tls_([this](std::string_view) { return std::optional(key_psk(key_)); }),
          acceptor_(io_, tcp::endpoint(asio::ip::address_v4::loopback(), 0)) {
        std::signal(SIGPIPE, SIG_IGN);  // as the programs do
        asio::co_spawn(io_, accept(), [](const std::exception_ptr&) {});
        thread_ = std::thread([this] { io_.run(); });
    }
    ~DeskMaster() {
        asio::post(io_, [this] { io_.stop(); });
        thread_.join();
    }

    Credentials credentials() const {
        Credentials result;
        result.master = {"127.0.0.1", acceptor_.local_endpoint().port()};
        result.key = key_;
        return result;
    }

    BlobStore store;
    std::atomic<std::int64_t> put_bytes = 0;    // that came
    std::atomic<std::int64_t> most_queued = 0;  // of bytes to one client
    std::atomic<std::int64_t> cut_after = -1;  // so many parts: the connection is closed; -1: never

  private:
    asio::awaitable<void> accept() {
        for (;;) {
            tcp::socket socket = co_await acceptor_.async_accept(asio::use_awaitable);
            asio::co_spawn(io_, serve(std::move(socket)), [](const std::exception_ptr&) {});
        }
    }

    asio::awaitable<void> serve(tcp::socket socket) {
        Connection connection(std::move(socket));
        co_await connection.accept_tls(tls_);
        connection.set_frame_limits(limits::control_frame_bytes, limits::raw_tail_bytes);
        co_await connection.next_frame();
        connection.send(Welcome());
        BlobDesk desk(files_, store, connection);
        for (;;) {
            const Frame frame = co_await connection.next_frame();
            std::string bytes(frame.raw);
            std::optional<FromClient> request = open(frame);
            if (cut_after >= 0 && cut_after-- == 0) connection.close("cut");
            if (auto* have = std::get_if<HaveBlobs>(&*request))
                co_await desk.serve(std::move(*have));
            if (auto* get = std::get_if<GetChunk>(&*request)) co_await desk.serve(std::move(*get));
            if (auto* put = std::get_if<PutChunk>(&*request)) {
                put_bytes += static_cast<std::int64_t>(bytes.size());
                co_await desk.serve(std::move(*put), std::move(bytes));
            }
            most_queued =
                std::max(most_queued.load(), static_cast<std::int64_t>(connection.outbox_bytes()));
        }
    }

    static std::optional<FromClient> open(const Frame& frame) {
        ParseArena arena;
        const auto envelope = open_envelope(frame.json, arena);
        return decode<FromClient>(envelope);
    }

    asio::io_context io_{1};
    FileThread files_;
    std::string key_ = make_key();
    TlsServer tls_;
    tcp::acceptor acceptor_;
    std::thread thread_;
};

constexpr std::int64_t blob_unit = 1024 * 1024;

void write_large(const fs::path& path, std::int64_t mebibytes) {
    std::ofstream file(path, std::ios::binary);
    for (unsigned i = 0; i < mebibytes; ++i) file << test::noise(blob_unit, i + 1);
}

}  // namespace

TEST_CASE("files go to the master and come back as they were", "[desk]") {
    test::TemporaryFolder folder;
    DeskMaster master(folder.path() / "blobs");
    Client client(master.credentials());
    const auto from = folder.path() / "from";
    test::write_text(from / "small", "hello");
    test::write_text(from / "same", "hello");
    test::write_text(from / "empty", "");
    test::write_text(from / "sub/large", test::noise(5 * limits::chunk_bytes + 3));
    fs::create_symlink("sub/large", from / "link");
    REQUIRE(::chmod((from / "small").c_str(), 0751) == 0);
    const auto manifest = upload_paths(client, {from.native()});
    const auto sent = master.put_bytes.load();
    CHECK(upload_paths(client, {from.native()}) == manifest);
    CHECK(master.put_bytes == sent);

    const auto to = folder.path() / "to";
    TransferProgress last;
    const auto result = download_manifest(
        client, manifest, to, [&](const TransferProgress& progress) { last = progress; });
    CHECK(result.files == 4);
    CHECK(result.replaced.empty());
    CHECK(last.bytes == last.bytes_done);
    CHECK(last.files == 3);
    CHECK(test::read_text(to / "from/small") == "hello");
    CHECK(test::read_text(to / "from/same") == "hello");
    CHECK(test::read_text(to / "from/empty").empty());
    CHECK(test::read_text(to / "from/link") == test::read_text(from / "sub/large"));
    CHECK(fs::read_symlink(to / "from/link") == "sub/large");
    struct stat status {};
    REQUIRE(::stat((to / "from/small").c_str(), &status) == 0);
    CHECK((status.st_mode & 07777) == 0751);
    CHECK(std::distance(fs::directory_iterator(to), fs::directory_iterator()) == 1);

    test::write_text(to / "from/same", "mine");
    const auto again = download_manifest(client, manifest, to);
    CHECK(again.files == 1);
    CHECK(again.replaced == std::vector<std::string>{"from/same"});
    CHECK(test::read_text(to / "from/same") == "hello");
}

TEST_CASE("what is in memory and what comes from a pipe become blobs", "[desk]") {
    test::TemporaryFolder folder;
    DeskMaster master(folder.path() / "blobs");
    Client client(master.credentials());
    const auto bytes = test::noise(3 * limits::chunk_bytes + 1);
    CHECK(upload_bytes(client, "") == sha256_hex(""));
    const auto blob = upload_bytes(client, bytes);
    CHECK(download_bytes(client, blob, bytes.size()) == bytes);
    CHECK(download_bytes(client, sha256_hex(""), 0).empty());
    CHECK_THROWS_AS(download_bytes(client, blob, bytes.size() - 1), FileError);
    int ends[2];
    REQUIRE(::pipe(ends) == 0);
    std::thread writer([&] {
        const auto text = test::noise(limits::chunk_bytes, 9);
        for (std::size_t at = 0; at < text.size(); at += 1000)
            CHECK(::write(ends[1], text.data() + at,
                          std::min<std::size_t>(1000, text.size() - at)) > 0);
        ::close(ends[1]);
    });
    const auto streamed = upload_stream(client, ends[0]);
    writer.join();
    ::close(ends[0]);
    CHECK(streamed == sha256_hex(test::noise(limits::chunk_bytes, 9)));
    CHECK(download_bytes(client, streamed, limits::chunk_bytes).size() == limits::chunk_bytes);
}

TEST_CASE("errors of a transfer are told, and the connection goes on", "[desk]") {
    test::TemporaryFolder folder;
    DeskMaster master(folder.path() / "blobs");
    Client client(master.credentials());
    const auto code = [&](const std::function<void()>& work) -> std::string {
        try {
            work();
        } catch (const FileError& error) {
            return error.code;
        }
        return "";
    };
    CHECK(code([&] { download_bytes(client, sha256_hex("nothing"), 10); }) == "not_found");
    CHECK(code([&] { download_manifest(client, sha256_hex("nothing"), folder.path() / "to"); }) ==
          "not_found");
    const auto text = upload_bytes(client, R"({"path":"../x","mode":1,"dir":true})"
                                           "\n");
    CHECK(code([&] { download_manifest(client, text, folder.path() / "to"); }) == "bad_request");
    CHECK(code([&] { upload_paths(client, {folder.path() / "none"}); }) == "not_found");
    CHECK(upload_bytes(client, "still works") == sha256_hex("still works"));
}

TEST_CASE("a master with a full disk says so", "[desk]") {
    test::TemporaryFolder folder;
    DeskMaster master(folder.path() / "blobs", std::int64_t{1} << 60);
    Client client(master.credentials());
    std::string code;
    try {
        upload_bytes(client, test::noise(2 * limits::chunk_bytes));
    } catch (const FileError& error) {
        code = error.code;
    }
    CHECK(code == "full");
}

TEST_CASE("an interrupted transfer goes on where it was", "[desk]") {
    test::TemporaryFolder folder;
    DeskMaster master(folder.path() / "blobs");
    constexpr std::int64_t size = 8 * blob_unit;
    write_large(folder.path() / "file", 8);
    const auto file = (folder.path() / "file").native();
    {
        Client client(master.credentials());
        master.cut_after = 20;
        CHECK_THROWS_AS(upload_file(client, file), UnreachableError);
    }
    const auto sent = master.put_bytes.load();
    CHECK(sent > size / 2);
    {
        Client client(master.credentials());
        master.cut_after = -1;
        const auto manifest = upload_paths(client, {file});
        CHECK(master.put_bytes - sent < size / 2);
        master.cut_after = 20;
        CHECK_THROWS_AS(download_manifest(client, manifest, folder.path() / "to"),
                        UnreachableError);
        CHECK_FALSE(fs::exists(folder.path() / "to/file"));
        master.cut_after = -1;
        Client other(master.credentials());
        std::int64_t first = -1;
        const auto note = [&](const TransferProgress& progress) {
            if (first < 0) first = progress.bytes_done;
        };
        download_manifest(other, manifest, folder.path() / "to", note);
        CHECK(first > size / 2);
    }
    CHECK(test::read_text(folder.path() / "to/file") == test::read_text(file));
}

TEST_CASE("a large file takes no memory on its way", "[desk]") {
    test::TemporaryFolder folder;
    DeskMaster master(folder.path() / "blobs");
    Client client(master.credentials());
    upload_bytes(client, test::noise(4 * limits::chunk_bytes));
    write_large(folder.path() / "file", 64);
    const auto before = own_rss_bytes();
    const auto blob = upload_paths(client, {(folder.path() / "file").native()});
    download_manifest(client, blob, folder.path() / "to");
    CHECK(own_rss_bytes() - before < 16 * blob_unit);
    CHECK(master.most_queued <= static_cast<std::int64_t>(limits::outbox_soft_bytes));
    CHECK(test::read_text(folder.path() / "to/file") == test::read_text(folder.path() / "file"));
}

TEST_CASE("links in the folder of a download lead nowhere", "[desk]") {
    test::TemporaryFolder folder;
    DeskMaster master(folder.path() / "blobs");
    Client client(master.credentials());
    test::write_text(folder.path() / "from/sub/file", "new");
    const auto manifest = upload_paths(client, {(folder.path() / "from").native()});
    test::write_text(folder.path() / "outside/file", "old");
    fs::create_directories(folder.path() / "to/from");
    SECTION("of a folder") {
        fs::create_directory_symlink(folder.path() / "outside", folder.path() / "to/from/sub");
    }
    SECTION("of the partial files") {
        fs::create_directory_symlink(folder.path() / "outside",
                                     folder.path() / "to/.rpicluster-part");
    }
    CHECK_THROWS_AS(download_manifest(client, manifest, folder.path() / "to"), FileError);
    CHECK(test::read_text(folder.path() / "outside/file") == "old");
    CHECK(std::distance(fs::directory_iterator(folder.path() / "outside"),
                        fs::directory_iterator()) == 1);
}
