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
