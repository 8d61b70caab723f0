#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "common/file_io.hpp"
#include "common/keys.hpp"
#include "common/limits.hpp"
#include "common/self_stats.hpp"
#include "common/sleep.hpp"
#include "common/until_first_failure.hpp"
#include "master/blob_desk.hpp"
#include "slave/files/bulk_link.hpp"

/// Moves a file from a node to a master and back, both real but for the rest of their programs,
/// over loopback and TLS: MiB/s, and how much each process grows meanwhile.
///
///     rpicluster-bench-transfer [MEBIBYTES] [FOLDER]
namespace rpic {

namespace {

constexpr std::int64_t mebibyte = 1024 * 1024;

/// The most that this process grew since the last call of begin().
struct Growth {
    std::int64_t first = 0;
    std::int64_t most = 0;

    void begin() { first = most = own_rss_bytes(); }
    double mebibytes() const {
        return static_cast<double>(most - first) / static_cast<double>(mebibyte);
    }
    asio::awaitable<void> watch() {
        const Duration step = std::chrono::milliseconds(20);
        for (;;) {
            most = std::max(most, own_rss_bytes());
            co_await sleep_for(step);
        }
    }
};

void run(asio::io_context& io, asio::awaitable<void> work) {
    asio::co_spawn(io, std::move(work), [&](const std::exception_ptr& failure) {
        if (failure) std::rethrow_exception(failure);
        io.stop();
    });
    io.run();
}

asio::awaitable<void> serve(tcp::acceptor& acceptor, const TlsServer& tls, FileThread& files,
                            BlobStore& blobs, Growth& growth) {
    tcp::socket socket = co_await acceptor.async_accept(asio::use_awaitable);
    Connection connection(std::move(socket));
    co_await connection.accept_tls(tls);
    connection.set_frame_limits(limits::control_frame_bytes, limits::raw_tail_bytes);
    co_await connection.next_frame();
    BlobDesk desk(files, blobs, connection);
    for (int requests = 0;; ++requests) {
        const Frame frame = co_await connection.next_frame();
        std::optional<FromBulk> message;
        {
            ParseArena arena;
            const auto envelope = open_envelope(frame.json, arena);
            message = decode<FromBulk>(envelope);
        }
        std::string bytes(frame.raw);
        constexpr int warm = 64;  // the first transfer is that long
        if (requests == warm) growth.begin();
        if (auto* get = std::get_if<GetChunk>(&*message)) co_await desk.serve(std::move(*get));
        if (auto* have = std::get_if<HaveBlobs>(&*message)) co_await desk.serve(std::move(*have));
        if (auto* put = std::get_if<PutChunk>(&*message))
            co_await desk.serve(std::move(*put), std::move(bytes));
        if (std::holds_alternative<Bye>(*message)) co_return;
    }
}

int master(tcp::acceptor& acceptor, asio::io_context& io, const std::string& key,
           const std::filesystem::path& folder) {
    const TlsServer tls([&](std::string_view) { return std::optional(key_psk(key)); });
    BlobStore blobs(folder / "master", limits::free_disk_bytes);
    FileThread files(io.get_executor());
    Growth growth;
    try {
        run(io, until_first_failure(serve(acceptor, tls, files, blobs, growth), growth.watch()));
    } catch (const DisconnectionError&) {
        // The node has ended.
    }
    std::printf("{\"process\":\"master\",\"grew_mib\":%.1f,\"rss_mib\":%.1f}\n", growth.mebibytes(),
                static_cast<double>(growth.most) / static_cast<double>(mebibyte));
    return 0;
}

std::string make_file(const std::filesystem::path& path, std::int64_t mebibytes,
                      std::uint64_t seed) {
    const Descriptor file(::open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    std::string block(static_cast<std::size_t>(mebibyte), 'x');
    Sha256 hash;
    for (std::int64_t i = 0; i < mebibytes; ++i) {
        block.replace(0, 16,
                      std::to_string(seed * 1'000'000'000'000 + 100'000'000'000'000 +
                                     static_cast<std::uint64_t>(i)),
                      0, 15);
        block.resize(static_cast<std::size_t>(mebibyte), 'x');
        hash.update(block);
        write_at(file, i * mebibyte, block, path.native());
    }
    return hash.finish();
}

asio::awaitable<void> move_file(BulkLink& bulk, BlobStore& store, std::filesystem::path path,
                                std::string blob, std::int64_t mebibytes, bool tell) {
    const auto began = Clock::now();
    auto file = std::make_shared<Descriptor>(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    const Wanted always;
    co_await bulk.put(std::move(file), blob, mebibytes * mebibyte, always);
    const auto half = Clock::now();
    co_await bulk.fetch(store, blob, always);
    const auto end = Clock::now();
    if (!tell) co_return;
    const auto rate = [&](Duration time) {
        return static_cast<double>(mebibytes) / to_seconds(time);
    };
    std::printf("{\"mebibytes\":%lld,\"put_mib_s\":%.0f,\"fetch_mib_s\":%.0f}\n",
                static_cast<long long>(mebibytes), rate(half - began), rate(end - half));
}

asio::awaitable<void> node_work(BulkLink& bulk, BlobStore& store, std::filesystem::path folder,
                                std::int64_t mebibytes, Growth& growth) {
    const auto small = make_file(folder / "small", 16, 1);
    const auto large = make_file(folder / "large", mebibytes, 2);
    co_await move_file(bulk, store, folder / "small", small, 16, false);
    growth.begin();
    co_await move_file(bulk, store, folder / "large", large, mebibytes, true);
}

int node(std::uint16_t port, const std::string& key, const std::filesystem::path& folder,
         std::int64_t mebibytes) {
    asio::io_context io(1);
    BlobStore store(folder / "node", limits::free_disk_bytes);
    FileThread files(io.get_executor());
    BulkLink bulk(io.get_executor(), files);
    const HostPort target{"127.0.0.1", port};
    bulk.set_master(target, key);
    Growth growth;
    run(io, until_first_failure(node_work(bulk, store, folder, mebibytes, growth), bulk.run(),
                                growth.watch()));
    std::printf("{\"process\":\"node\",\"grew_mib\":%.1f,\"rss_mib\":%.1f}\n", growth.mebibytes(),
                static_cast<double>(growth.most) / static_cast<double>(mebibyte));
    std::fflush(stdout);
    return 0;
}

}  // namespace

}  // namespace rpic

int main(int count, char** arguments) {
    using namespace rpic;
    std::signal(SIGPIPE, SIG_IGN);
    const std::int64_t mebibytes = count > 1 ? std::atoll(arguments[1]) : 1024;
    auto name = std::string(count > 2 ? arguments[2] : "/tmp") + "/rpicluster-bench-XXXXXX";
    const std::filesystem::path folder = ::mkdtemp(name.data());
    const auto key = make_key();
    asio::io_context io(1);
    tcp::acceptor acceptor(io, tcp::endpoint(asio::ip::address_v4::loopback(), 0));
    const auto port = acceptor.local_endpoint().port();
    const auto child = ::fork();
    if (child == 0) {
        acceptor.close();
        std::_Exit(node(port, key, folder, mebibytes));
    }
    master(acceptor, io, key, folder);
    ::waitpid(child, nullptr, 0);
    std::filesystem::remove_all(folder);
    return 0;
}
