#include <catch2/catch.hpp>
#include <csignal>
#include <filesystem>

#include "common/dial.hpp"
#include "common/limits.hpp"
#include "common/sleep.hpp"
#include "common/until_first_failure.hpp"
#include "common/version.hpp"
#include "master/listener.hpp"
#include "slave/files/work_folder.hpp"
#include "slave/files/work_folders.hpp"
#include "slave/task_files.hpp"
#include "test/async/loopback.hpp"
#include "test/temporary_folder.hpp"

using namespace rpic;
using namespace std::chrono_literals;
namespace fs = std::filesystem;

namespace {

MasterOptions options_in(const fs::path& folder) {
    fs::create_directories(folder);
    MasterOptions options;
    options.bind = "127.0.0.1";
    options.port = 0;
    options.folder = folder;
    return options;
}

/// A master and a node on one loop.
struct LinkWorld {
    LinkWorld()
        : context(io.get_executor(), options_in(folder.path() / "master")),
          listener(io.get_executor(), context),
          files(io.get_executor()),
          bulk(io.get_executor(), files),
          cache(folder.path() / "cache", 0, io.get_executor(), files, bulk) {
        std::signal(SIGPIPE, SIG_IGN);  // as the programs do
    }

    /// Runs the test's work beside both, once the node has joined.
    template <class Work>
    void run(Work work) {
        auto all = [&]() -> asio::awaitable<void> {
            co_await until_first_failure(listener.run(), context.store.run(), context.turns.run(),
                                         bulk.run(), join_and(std::move(work)));
        };
        auto stop = [&]() -> asio::awaitable<void> {
            const bool clean = co_await listener.stop();
            CHECK(clean);
        };
        std::exception_ptr failure;
        try {
            test::run_all(io, all());
        } catch (...) {
            failure = std::current_exception();
        }
        control.reset();
        test::run_all(io, stop());
        if (failure) std::rethrow_exception(failure);
    }

    HostPort address() const { return {"127.0.0.1", listener.port()}; }

    /// The blob in the master's store.
    std::string on_master(std::string_view bytes) { return context.blobs.put_bytes(bytes); }

    asio::awaitable<void> join_and(asio::awaitable<void> work) {
        const TlsClient tls(context.keyring.join_key()->key);
        const auto where = address();
        Connection link = co_await dial(where);
        co_await link.connect_tls(tls);
        link.set_frame_limits(limits::control_frame_bytes, 0);
        Hello hello;
        hello.version = version;
        hello.protocol = protocol_version;
        hello.peer = "node";
        hello.role = "worker";
        hello.name = "pi";
        hello.fingerprint = "board:1";
        link.send(hello);
        {
            const Frame frame = co_await link.next_frame();
            ParseArena arena;
            const auto envelope = open_envelope(frame.json, arena);
            const auto message = decode<ToNode>(envelope);
            const auto& welcome = std::get<Welcome>(*message);
            node_key = welcome.node_key;
            node_id = welcome.node_id;
        }
        control.emplace(std::move(link));
        control->send(KeyStored());
        bulk.set_master(where, node_key);
        co_await until_first_failure(std::move(work), obey());
    }

    /// The node's control link: it opens the bulk link when it is told to.
    asio::awaitable<void> obey() {
        for (;;) {
            co_await control->next_frame();
            ++told_to_open;
            bulk.open();
        }
    }

    /// Cuts the bulk link as the network would.
    void cut() {
        for (auto& [id, session] : context.sessions.all())
            if (!session.key_identity.empty()) session.connection->close("cut");
    }

    test::TemporaryFolder folder;
    asio::io_context io{1};
    Context context;
    Listener listener;
    FileThread files;
    BulkLink bulk;
    FileCache cache;
    std::optional<Connection> control;
    std::string node_key;
    std::string node_id;
    int told_to_open = 0;
};

constexpr std::int64_t mebibyte = 1024 * 1024;
const Wanted always;

std::string manifest_with(LinkWorld& world, const std::string& path, const std::string& text) {
    Manifest manifest;
    ManifestEntry entry;
    entry.path = path;
    entry.mode = 0755;
    entry.size = static_cast<std::int64_t>(text.size());
    entry.blob = world.on_master(text);
    manifest.entries.push_back(entry);
    return world.on_master(format_manifest(manifest));
}

}  // namespace

TEST_CASE("a node brings inputs into a work folder and sends outputs back", "[bulk]") {
    LinkWorld world;
    const auto large = test::noise(3 * mebibyte + 5);
    const auto first = manifest_with(world, "in/large", large);
    const auto second = manifest_with(world, "run.sh", "echo hello");
    Collected collected;
    world.run([](LinkWorld& w, const std::string& a, const std::string& b,
                 Collected& result) -> asio::awaitable<void> {
        const fs::path work = w.folder.path() / "work";
        const Owner owner;
        std::vector<std::string> manifests;
        manifests.push_back(a);
        manifests.push_back(b);
        WorkFolders folders(w.files, w.folder.path().string(), owner);
        std::vector<std::string> names(1, "work");
        const auto troubles = co_await folders.make(std::move(names));
        CHECK(troubles.front().empty());
        co_await place_inputs(w.files, w.cache, work, manifests, owner, always);
        CHECK(test::read_text(work / "run.sh") == "echo hello");
        CHECK((fs::status(work / "run.sh").permissions() & fs::perms::owner_exec) !=
              fs::perms::none);
        test::write_text(work / "out/result", test::read_text(work / "in/large") + "!");
        test::write_text(work / "out/same", "echo hello");
        fs::create_symlink("/etc/passwd", work / "out/passwd");
        std::vector<std::string> globs;
        globs.push_back("out/*");
        result = co_await collect_outputs(w.files, w.bulk, work, globs, owner, always);
        co_await remove_folder(w.files, work);
        CHECK_FALSE(fs::exists(work));
    }(world, first, second, collected));
    CHECK(collected.files == 2);
    CHECK(collected.left_out.size() == 1);
    const auto text = world.context.blobs.read(collected.manifest, limits::manifest_bytes);
    const auto manifest = parse_manifest(text);
    REQUIRE(manifest.entries.size() == 2);
    CHECK(world.context.blobs.read(manifest.entries[0].blob, large.size() + 1) == large + "!");
    CHECK(manifest.entries[1].blob == sha256_hex("echo hello"));
}

TEST_CASE("an output file that is not as long as it was is brought, and that is told", "[bulk]") {
    LinkWorld world;
    const auto file = world.folder.path() / "output";
    test::write_text(file, "the first hal");
    auto work = [](LinkWorld& w, const std::string& name) -> asio::awaitable<void> {
        SlaveOptions options;
        options.folder = options.state = w.folder.path() / "slave";
        options.tasks = options.state / "tasks";
        const auto executor = co_await asio::this_coro::executor;
        TaskFiles files(executor, options);
        const auto where = w.address();
        files.bulk().set_master(where, w.node_key);
        auto bring = [](LinkWorld& inner, TaskFiles& from,
                        const std::string& path) -> asio::awaitable<void> {
            const AttemptKey key;
            std::string trouble;
            auto blob = co_await from.bring_output(key, path, 13, always, trouble);
            CHECK(trouble.empty());
            blob = co_await from.bring_output(key, path, 26, always, trouble);
            CHECK(trouble == "its output is damaged: the file has 13 bytes, 26 were written");
            CHECK(inner.context.blobs.read(blob, 100) == "the first hal");
        };
        co_await until_first_failure(files.bulk().run(), bring(w, files, name));
    };
    world.run(work(world, file.string()));
}

TEST_CASE("a file that cannot be read does not keep the others from the master", "[bulk]") {
    LinkWorld world;
    Collected collected;
    world.run([](LinkWorld& w, Collected& result) -> asio::awaitable<void> {
        std::vector<std::string> globs;
        globs.push_back("cmdline");
        globs.push_back("mem");  // not from its beginning, whoever tries
        const Owner owner;
        const fs::path itself = "/proc/self";
        result = co_await collect_outputs(w.files, w.bulk, itself, globs, owner, always);
    }(world, collected));
    CHECK(collected.files == 1);
    REQUIRE(collected.left_out.size() == 1);
    CHECK(collected.left_out[0].find("cannot read mem") == 0);
    CHECK(world.context.blobs.has(sha256_hex(test::read_text("/proc/self/cmdline"))));
}

TEST_CASE("transfers survive breaks of the link and go on where they were", "[bulk]") {
    LinkWorld world;
    const auto bytes = test::noise(24 * mebibyte);
    const auto blob = world.on_master(bytes);
    const auto other = test::noise(24 * mebibyte, 2);
    int cuts = 0;
    auto work = [](LinkWorld& w, const std::string& down, const std::string& up,
                   int& breaks) -> asio::awaitable<void> {
        auto cut = [](LinkWorld& inner, int& count) -> asio::awaitable<void> {
            const Duration pause = 20ms;
            for (;;) {
                co_await sleep_for(pause);
                if (count >= 3) continue;
                if (inner.bulk.connected()) ++count;
                inner.cut();
            }
        };
        auto fetch = [](LinkWorld& inner, const std::string& name) -> asio::awaitable<void> {
            std::vector<std::string> names;
            names.push_back(name);
            const auto pins = co_await inner.cache.hold(std::move(names), always);
        };
        auto put = [](LinkWorld& inner, const std::string& text) -> asio::awaitable<void> {
            const auto name = sha256_hex(text);
            co_await inner.bulk.put_bytes(text, name, always);
        };
        co_await until_first_failure(fetch(w, down), cut(w, breaks));
        CHECK(w.cache.blobs().has(down));
        breaks = 0;
        co_await until_first_failure(put(w, up), cut(w, breaks));
    };
    world.run(work(world, blob, other, cuts));
    CHECK(cuts > 0);
    CHECK(world.context.blobs.has(sha256_hex(other)));
}

TEST_CASE("a link that worked and broke is there again at once", "[bulk]") {
    LinkWorld world;
    auto work = [](LinkWorld& w) -> asio::awaitable<void> {
        const auto began = Clock::now();
        const Duration moment = 1ms;
        for (int breaks = 0; breaks < 8; ++breaks) {
            std::vector<std::string> names;
            names.push_back(sha256_hex("nothing"));
            const auto missing = co_await w.bulk.missing(std::move(names), always);
            CHECK(missing.size() == 1);
            w.cut();
            while (w.bulk.connected()) co_await sleep_for(moment);
        }
        // The waits of an outage would be 10 s in all, as a rule.
        CHECK(Clock::now() - began < 4s);
    };
    world.run(work(world));
}

TEST_CASE("several who want the same file share its way, and one may give up", "[bulk]") {
    LinkWorld world;
    const auto blob = world.on_master(test::noise(4 * mebibyte));
    auto work = [](LinkWorld& w, const std::string& name) -> asio::awaitable<void> {
        auto want = [](LinkWorld& inner, const std::string& which) -> asio::awaitable<void> {
            std::vector<std::string> names;
            names.push_back(which);
            const auto pins = co_await inner.cache.hold(std::move(names), always);
        };
        auto want_briefly = [&want](LinkWorld& inner,
                                    const std::string& which) -> asio::awaitable<void> {
            const Duration moment = 5ms;
            co_await until_first_failure(want(inner, which), sleep_for(moment));
            const Duration longer = 10s;
            co_await sleep_for(longer);
        };
        co_await until_first_failure(want_briefly(w, name), want(w, name));
    };
    world.run(work(world, blob));
    CHECK(world.cache.blobs().has(blob));
}

TEST_CASE("what is left of an earlier fetch and damaged is fetched anew", "[bulk]") {
    LinkWorld world;
    const auto bytes = test::noise(2 * mebibyte);
    const auto blob = world.on_master(bytes);
    const auto left = world.folder.path() / "cache/incoming" / blob;
    test::write_text(left, test::noise(mebibyte, 2));
    auto work = [](LinkWorld& w, const std::string& name) -> asio::awaitable<void> {
        std::vector<std::string> names;
        names.push_back(name);
        const auto pins = co_await w.cache.hold(std::move(names), always);
    };
    world.run(work(world, blob));
    CHECK(world.cache.blobs().read(blob, bytes.size()) == bytes);
}

TEST_CASE("what the master does not have is an error, not a wait", "[bulk]") {
    LinkWorld world;
    std::string code;
    auto work = [](LinkWorld& w, std::string& result) -> asio::awaitable<void> {
        std::vector<std::string> names;
        names.push_back(sha256_hex("nothing"));
        try {
            const auto pins = co_await w.cache.hold(std::move(names), always);
        } catch (const FileError& error) {
            result = error.code;
        }
    };
    world.run(work(world, code));
    CHECK(code == "not_found");
}

TEST_CASE("the master reads output over the bulk link, which it has opened", "[bulk]") {
    LinkWorld world;
    world.bulk.answer_output_with(
        [](ReadOutput question) -> asio::awaitable<std::optional<OutputPiece>> {
            if (question.task == 7) co_return std::nullopt;
            if (question.task == 8) {
                const Duration for_ever = 1h;
                co_await sleep_for(for_ever);
            }
            OutputPiece piece;
            piece.answer.attempt = question.attempt;
            piece.answer.offset = question.offset;
            piece.bytes = "output of " + std::to_string(question.task);
            co_return piece;
        });
    auto work = [](LinkWorld& w) -> asio::awaitable<void> {
        auto& links = w.context.bulk;
        ReadOutput question;
        question.task = 3;
        question.attempt = 2;
        question.offset = 11;
        const auto piece = co_await links.read_output(w.context, w.node_id, question);
        REQUIRE(piece);
        CHECK(piece->bytes == "output of 3");
        CHECK(piece->answer.offset == 11);
        CHECK(w.told_to_open == 1);
        question.task = 7;
        const auto none = co_await links.read_output(w.context, w.node_id, question);
        CHECK_FALSE(none);
        const std::string stranger = "nobody";
        const auto nobody = co_await links.read_output(w.context, stranger, question);
        CHECK_FALSE(nobody);
        question.task = 8;
        auto cut_soon = [](LinkWorld& inner) -> asio::awaitable<void> {
            const Duration moment = 20ms;
            co_await sleep_for(moment);
            inner.cut();
            const Duration longer = 10s;
            co_await sleep_for(longer);
        };
        auto ask = [](LinkWorld& inner, ReadOutput what) -> asio::awaitable<void> {
            const auto lost =
                co_await inner.context.bulk.read_output(inner.context, inner.node_id, what);
            CHECK_FALSE(lost);
        };
        co_await until_first_failure(ask(w, question), cut_soon(w));
    };
    world.run(work(world));
}

TEST_CASE("a bulk link is for nodes that are connected, and ends with their key", "[bulk]") {
    LinkWorld world;
    auto work = [](LinkWorld& w) -> asio::awaitable<void> {
        const auto where = w.address();
        const TlsClient tls(w.node_key);
        {
            Connection link = co_await dial(where);
            co_await link.connect_tls(tls);
            link.send(Bulk());
            HaveBlobs have;
            have.id = 5;
            have.blobs.push_back(sha256_hex("x"));
            link.send(have);
            const Frame frame = co_await link.next_frame();
            CHECK(frame.json.find("missing_blobs") != std::string_view::npos);
            Effects effects;
            w.context.cluster.remove(Clock::now(), "pi", effects);
            w.context.turns.add(std::move(effects));
            std::string reason;
            try {
                for (;;) co_await link.next_frame();
            } catch (const DisconnectionError& error) {
                reason = error.what();
            }
            CHECK(reason == "closed by the peer");
        }
    };
    auto tolerant = [](asio::awaitable<void> inner) -> asio::awaitable<void> {
        co_await std::move(inner);
    };
    try {
        world.run(tolerant(work(world)));
    } catch (const DisconnectionError&) {
        // The control link ends too, with the node.
    }
    CHECK(world.context.cluster.find("pi") == nullptr);
}
