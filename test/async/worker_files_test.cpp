#include <atomic>
#include <set>

#include "common/manifest.hpp"
#include "common/sha256.hpp"
#include "test/async/fake_master.hpp"
#include "test/async/worker_bench.hpp"

using namespace rpic;
using namespace rpic::test;

namespace {

/// Files of this bench come from that master and go to it.
void use_master(WorkerBench& bench, const FakeMaster& master) {
    const auto known = master.credentials();
    bench.bulk_master = known.master;
    write_secret(bench.options.folder / "node.key", known.key);
}

void refuse(Connection& connection, std::int64_t id, const std::string& code) {
    Failed failed;
    failed.id = id;
    failed.code = code;
    failed.reason = "the test said so";
    connection.send(failed);
}

NodeJob job_with_files(const std::string& shell) {
    auto job = WorkerBench::shell_job(shell);
    job.out = {"made*"};
    return job;
}

void stop(WorkerBench& bench, std::vector<AttemptKey> keys) {
    StopAttempts stop;
    stop.attempts = std::move(keys);
    stop.reason = "cancelled";
    bench.say(stop);
}

/// Blobs that a fake master has for nodes.
struct Library {
    std::string add(std::string text) {
        const auto blob = sha256_hex(text);
        blobs[blob] = std::move(text);
        return blob;
    }
    std::string add_list(const std::string& path, std::string text) {
        Manifest manifest;
        ManifestEntry entry;
        entry.path = path;
        entry.mode = 0644;
        entry.size = static_cast<std::int64_t>(text.size());
        entry.blob = add(std::move(text));
        manifest.entries.push_back(entry);
        return add(format_manifest(manifest));
    }
    bool give(Connection& connection, const FromClient& message) {
        const auto* get = std::get_if<GetChunk>(&message);
        if (get == nullptr) return false;
        const auto& text = blobs.at(get->blob);
        Chunk answer;
        answer.id = get->id;
        answer.offset = get->offset;
        answer.size = static_cast<std::int64_t>(text.size());
        const auto offset = static_cast<std::size_t>(get->offset);
        connection.send(answer, std::string_view(text).substr(offset, limits::chunk_bytes));
        ++parts;
        return true;
    }

    std::map<std::string, std::string> blobs;
    std::atomic<int> parts = 0;  // that were given
};

}  // namespace

TEST_CASE("what a task made waits on its node until the master can take it", "[worker]") {
    const std::string large(100'000, 'x');
    // What becomes of the first try.
    std::map<std::string, std::string> refusals = {{sha256_hex("made\n"), "conflict"}};
    FakeMaster master([&](FakeMaster&, Connection& connection, const FromClient& message) {
        const auto* put = std::get_if<PutChunk>(&message);
        if (put == nullptr) return false;
        // The output is the only other large one; its blob has a frame around the text.
        const bool output = put->size > 90'000 && !refusals.contains(put->blob);
        if (output) refusals[put->blob] = "failed";
        const auto code = std::exchange(refusals[put->blob], "");
        if (!code.empty()) refuse(connection, put->id, code);
        return !code.empty();
    });
    RunnerFolder folder;
    WorkerBench bench(folder);
    use_master(bench, master);
    AttemptKey files, output;
    auto script = [&]() -> asio::awaitable<void> {
        co_await bench.connect_and_adopt();
        files = bench.order(job_with_files("echo made > made"));
        output = bench.order("head -c 100000 /dev/zero | tr '\\0' x");
        co_await bench.until_reported(files);
        co_await bench.until_reported(output);
    };
    bench.play(script);
    master.stop();
    CHECK(bench.reports[files].reason.empty());
    CHECK(bench.reports[output].reason.empty());
    REQUIRE(master.blobs.contains(bench.reports[files].files));
    const auto manifest = parse_manifest(master.blobs[bench.reports[files].files]);
    REQUIRE(manifest.entries.size() == 1);
    CHECK(master.blobs[manifest.entries[0].blob] == "made\n");
    CHECK(stream_of(master.blobs[bench.reports[output].output_blob], OutputStream::out) == large);
}

TEST_CASE("what cannot be sent, or is not wanted any more, keeps nothing else from the master",
          "[worker]") {
    const std::set<std::string> unwelcome = {sha256_hex("one\n"), sha256_hex("two\n")};
    std::atomic<int> refused = 0;
    FakeMaster master([&](FakeMaster&, Connection& connection, const FromClient& message) {
        const auto* put = std::get_if<PutChunk>(&message);
        if (put == nullptr || !unwelcome.contains(put->blob)) return false;
        refuse(connection, put->id, "full");
        ++refused;
        return true;
    });
    RunnerFolder folder;
    WorkerBench bench(folder);
    use_master(bench, master);
    AttemptKey wanted;
    auto script = [&]() -> asio::awaitable<void> {
        co_await bench.connect_and_adopt();
        const auto one = bench.order(job_with_files("echo one > made"));
        const auto two = bench.order(job_with_files("echo two > made"));
        const auto both_refused = [&] { return refused >= 2; };
        co_await bench.until(both_refused);
        const auto brief = bench.order("echo brief");
        co_await bench.until_reported(brief);
        bench.reports.clear();
        bench.outputs.clear();
        co_await bench.connect_and_adopt();
        co_await bench.until_reported(brief);
        CHECK(bench.out(brief) == "brief\n");
        stop(bench, {one, two});
        co_await bench.until_reported(one);
        CHECK(bench.reports[one].outcome == "killed");
        bench.acknowledge(one);
        bench.acknowledge(two);
        wanted = bench.order(job_with_files("echo three > made"));
        co_await bench.until_reported(wanted);
    };
    bench.play(script);
    master.stop();
    CHECK(bench.reports[wanted].reason.empty());
    CHECK(master.blobs.contains(bench.reports[wanted].files));
    CHECK(master.blobs.contains(sha256_hex("three\n")));
}

TEST_CASE("inputs of a task that was cancelled on the way do not come to their end", "[worker]") {
    constexpr int all_parts = 400;
    Library library;
    const auto large = library.add_list("large", std::string(all_parts * limits::chunk_bytes, '0'));
    const auto small = library.add_list("small", "small");
    FakeMaster master([&](FakeMaster&, Connection& connection, const FromClient& message) {
        return library.give(connection, message);
    });
    RunnerFolder folder;
    WorkerBench bench(folder);
    use_master(bench, master);
    auto script = [&]() -> asio::awaitable<void> {
        co_await bench.connect_and_adopt();
        auto job = WorkerBench::shell_job("cat small");
        job.in = {large};
        const auto cancelled = bench.order(job);
        const auto also_cancelled = bench.order(job);
        const auto some_came = [&] { return library.parts >= 8; };
        co_await bench.until(some_came);
        stop(bench, {cancelled, also_cancelled});
        bench.acknowledge(cancelled);
        bench.acknowledge(also_cancelled);
        const auto folders_gone = [&] {
            return !std::filesystem::exists(bench.work_folder(cancelled)) &&
                   !std::filesystem::exists(bench.work_folder(also_cancelled));
        };
        co_await bench.until(folders_gone);
        CHECK(std::filesystem::is_empty(bench.options.folder / "cache/incoming"));
        job.in = {small};
        const auto next = bench.order(job);
        co_await bench.until_reported(next);
        CHECK(bench.out(next) == "small");
    };
    bench.play(script);
    CHECK(library.parts < all_parts / 2);
}
