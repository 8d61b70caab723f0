#include <sys/socket.h>

#include "common/files.hpp"
#include "slave/runner/keyed_records.hpp"
#include "slave/runner/past.hpp"
#include "test/async/runner_bench.hpp"

/// How runners begin and end, what of them outlives whom; what they do with tasks is in
/// runner_test.cpp.

using namespace rpic;
using namespace rpic::test;

namespace {

int open_descriptors(pid_t pid) {
    int count = 0;
    for ([[maybe_unused]] const auto& each :
         std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/fd"))
        ++count;
    return count;
}

/// The folder as a runner left it whose machine has lost its power.
void write_end(const RunnerFolder& folder, const RunnerAttempt& attempt, bool marked) {
    make_private_folder(folder.runner_path());
    KeyedRecords spool(folder.runner_path() / "spool");
    EndedRecord record;
    record.boot_id = "another boot";
    record.attempt = attempt;
    record.attempt.ended = true;
    record.attempt.report.outcome = "exited";
    record.attempt.report.exit_code = 0;
    REQUIRE(spool.add(attempt.key, encode(record)));
    if (marked) REQUIRE(spool.mark({attempt.key}));
}

}  // namespace

TEST_CASE("tasks outlive their slave, and the next one adopts them with all output", "[runner]") {
    RunnerFolder folder;
    auto spec = folder.shell("echo one; while [ ! -e go ]; do sleep 0.02; done; echo two; exit 5");
    auto done = folder.shell("echo done");
    {
        FakeSlave slave(folder.runner_path());
        slave.run(done);
        slave.start(spec);
    }
    FakeSlave slave(folder.runner_path());
    slave.until([&] { return slave.attached == 1; });
    REQUIRE(slave.listed.size() == 2);
    CHECK_FALSE(slave.listed[spec.key].ended);
    CHECK(slave.listed[spec.key].context == spec.context);
    CHECK(slave.listed[done.key].ended);
    CHECK(slave.listed[done.key].report.exit_code == 0);
    CHECK(stream_of(slave.read_all(done.key), OutputStream::out) == "done\n");
    folder.write("go");
    slave.until([&] { return slave.ended.contains(spec.key); });
    CHECK(slave.ended[spec.key].report.exit_code == 5);
    CHECK(stream_of(slave.outputs[spec.key], OutputStream::out) == "one\ntwo\n");
}

TEST_CASE("a new slave takes the place of the old one", "[runner]") {
    RunnerFolder folder;
    FakeSlave first(folder.runner_path());
    const auto spec = folder.shell("sleep 1000");
    first.start(spec);
    FakeSlave second(folder.runner_path());
    second.until([&] { return second.attached == 1; });
    CHECK(second.listed.contains(spec.key));
    first.until([&] { return first.gone == 1; });
}

TEST_CASE("a runner that was killed takes its tasks along, and the next one says so", "[runner]") {
    RunnerFolder folder;
    const bool groups = GENERATE(true, false);
    FakeSlave slave(folder.runner_path(), groups ? "" : folder.without_groups());
    const auto over = folder.shell("echo kept; exit 4");
    slave.run(over);
    const auto spec = folder.shell(
        "setsid sh -c 'echo $$ >escaped; exec sleep 1000' & echo $$ >first; sleep 1000");
    slave.start(spec);
    const pid_t first = pid_in(slave, folder, "first");
    const pid_t escaped = pid_in(slave, folder, "escaped");
    folder.stop(SIGKILL);
    slave.until([&] { return slave.attached == 2; });
    CHECK(slave.gone == 1);
    CHECK_FALSE(lives(first));
    CHECK_FALSE(lives(escaped));
    REQUIRE(slave.listed.contains(spec.key));
    CHECK(slave.listed[spec.key].ended);
    CHECK(slave.listed[spec.key].report.outcome == "runner");
    CHECK(slave.listed[spec.key].context == spec.context);
    REQUIRE(slave.listed.contains(over.key));
    CHECK(slave.listed[over.key].report.exit_code == 4);
    CHECK(stream_of(slave.read_all(over.key), OutputStream::out) == "kept\n");
}

TEST_CASE("an attempt whose process gets the number of an older one's is another one", "[runner]") {
    const auto last_given = "/proc/sys/kernel/ns_last_pid";  // the next process gets one more
    if (::access(last_given, W_OK) != 0) {
        WARN("not tried: this user cannot choose the ids of processes");
        return;
    }
    RunnerFolder folder;
    const bool groups = GENERATE(true, false);
    FakeSlave slave(folder.runner_path(), groups ? "" : folder.without_groups());
    auto older = folder.shell(
        "setsid sh -c 'trap \"\" TERM; echo $$ >escaped; sleep 1000' & "
        "while [ ! -s escaped ]; do sleep 0.02; done");
    older.grace_seconds = 3;
    slave.start(older);
    const auto number = slave.launched[older.key];
    slave.until([&] { return !lives(static_cast<pid_t>(number)); });
    LaunchSpec newer;
    for (int tries = 0; slave.launched[newer.key] != number && tries < 100; ++tries) {
        newer = folder.shell("(while [ ! -e go ]; do sleep 0.02; done; exit 7); exit $?");
        std::ofstream(last_given) << number - 1;
        slave.start(newer);
    }
    REQUIRE(slave.launched[newer.key] == number);
    slave.until([&] { return slave.ended.contains(older.key); });
    folder.write("go");
    slave.until([&] { return slave.ended.contains(newer.key); });
    CHECK(slave.ended[newer.key].report.exit_code == 7);
}

TEST_CASE("launches are carried out whatever happens to runners", "[runner]") {
    RunnerFolder folder;
    FakeSlave slave(folder.runner_path());
    std::vector<LaunchSpec> specs;
    for (int i = 0; i < 40; ++i) specs.push_back(folder.shell("echo x >>ledger"));
    slave.run(specs[0]);
    for (std::size_t i = 1; i < specs.size(); ++i) slave.launch(specs[i]);
    ::kill(folder.runner(), SIGKILL);
    slave.until([&] {
        return std::all_of(specs.begin(), specs.end(), [&](const LaunchSpec& each) {
            return slave.ended.contains(each.key) ||
                   (slave.listed.contains(each.key) && slave.listed[each.key].ended);
        });
    });
}

TEST_CASE("a runner that is told to stop ends its tasks and writes that down", "[runner]") {
    RunnerFolder folder;
    const auto spec = folder.shell("sleep 1000");
    {
        FakeSlave slave(folder.runner_path());
        slave.start(spec);
    }
    folder.stop(SIGTERM);
    FakeSlave slave(folder.runner_path());
    slave.until([&] { return slave.attached == 1; });
    CHECK(slave.listed[spec.key].report.outcome == "runner");
    slave.forget(spec.key);
    slave.until([&] { return !folder.remembers(); });
}

TEST_CASE("a torn end of the spool is dropped, what is before it is kept", "[runner]") {
    RunnerFolder folder;
    const auto first = folder.shell("exit 1");
    const auto second = folder.shell("exit 2");
    {
        FakeSlave slave(folder.runner_path());
        slave.run(first);
        slave.run(second);
    }
    folder.stop(SIGTERM);
    const auto spool = folder.runner_path() / "spool";
    std::filesystem::resize_file(spool, std::filesystem::file_size(spool) - 3);
    FakeSlave slave(folder.runner_path());
    slave.until([&] { return slave.attached == 1; });
    REQUIRE(slave.listed.size() == 1);
    CHECK(slave.listed[first.key].report.exit_code == 1);
    const auto third = folder.shell("exit 3");
    CHECK(slave.run(third).exit_code == 3);
}

TEST_CASE("after a power cut only ends whose files were on the disk count", "[runner]") {
    RunnerFolder folder;
    RunnerAttempt plain, lost, lost_output, safe;
    for (auto* each : {&plain, &lost, &lost_output, &safe}) each->folder = folder.path;
    plain.key = {1, 1, 1};
    lost.key = {1, 2, 1};
    lost_output.key = {1, 3, 1};
    safe.key = {1, 4, 1};
    lost.brings_files = safe.brings_files = true;
    lost_output.output_file = folder.runner_path() / "output/1.3.1";
    write_end(folder, plain, false);
    write_end(folder, lost, false);
    write_end(folder, lost_output, false);
    write_end(folder, safe, true);
    FakeSlave slave(folder.runner_path());
    slave.until([&] { return slave.attached == 1; });
    CHECK(slave.listed.size() == 2);
    CHECK(slave.listed.contains(plain.key));
    CHECK(slave.listed.contains(safe.key));
}

TEST_CASE("an end that nobody acknowledges is marked once its files are on the disk", "[runner]") {
    RunnerFolder folder;
    FakeSlave slave(folder.runner_path());
    auto brings = folder.shell("echo x >result");
    brings.brings_files = true;
    const auto prints = folder.shell("head -c 100000 /dev/zero");
    const auto plain = folder.shell("true");
    for (const auto& spec : {brings, prints, plain}) slave.run(spec);
    const auto copy = folder.path / "spool";
    const auto marked = [&](const LaunchSpec& spec) {
        std::filesystem::copy_file(folder.runner_path() / "spool", copy,
                                   std::filesystem::copy_options::overwrite_existing);
        return KeyedRecords(copy).marked(spec.key);
    };
    CHECK_FALSE(marked(brings));
    slave.until([&] { return marked(brings) && marked(prints); });
    CHECK_FALSE(marked(plain));
}

TEST_CASE("nothing is kept, on disk or open, once all is forgotten", "[runner]") {
    RunnerFolder folder;
    const bool groups = GENERATE(true, false);
    FakeSlave slave(folder.runner_path(), groups ? "" : folder.without_groups());
    const auto first = folder.shell("true");
    slave.run(first);
    slave.forget(first.key);
    slave.until([&] { return !folder.remembers(); });
    const int before = open_descriptors(folder.runner());
    for (int i = 0; i < 30; ++i) {
        const auto spec = folder.shell(i % 3 == 0 ? "head -c 100000 /dev/zero" : "echo x");
        slave.run(spec);
        slave.forget(spec.key);
    }
    for (int i = 0; i < 5; ++i) slave.run(folder.program({"no-such-command"}));
    for (const auto& [key, ended] : slave.ended) slave.forget(key);
    slave.until([&] { return !folder.remembers(); });
    CHECK(open_descriptors(folder.runner()) == before);
    CHECK(std::filesystem::is_empty(folder.runner_path() / "output"));
}

TEST_CASE("a runner that ends before it is attached and leaves nothing is none", "[runner]") {
    const RunnerFolder folder;
    const int listener = listen_in(folder.path);
    FakeSlave slave(folder.path);
    // The first connection asks whether somebody listens, the second one is to attach.
    int accepted = 0;
    slave.until([&] {
        if (accepted == 2) return true;
        const int socket = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (socket < 0) return false;
        if (++accepted == 2) {
            ::close(listener);
            ::unlink((folder.path / "socket").c_str());
        }
        ::close(socket);
        return accepted == 2;
    });
    CHECK(slave.none == 0);
    slave.until([&] { return slave.none == 1; });
    CHECK(slave.attached == 0);
}

TEST_CASE("what starts a runner is collected once it has ended", "[runner]") {
    const auto zombies = [] {
        std::ifstream children("/proc/self/task/" + std::to_string(::getpid()) + "/children");
        int count = 0;
        for (pid_t child = 0; children >> child;) {
            std::ifstream stat("/proc/" + std::to_string(child) + "/stat");
            std::string line;
            std::getline(stat, line);
            count += line.find(") Z ") != std::string::npos;
        }
        return count;
    };
    const int before = zombies();
    RunnerFolder folder;
    FakeSlave slave(folder.runner_path());
    CHECK(slave.run(folder.shell("true")).exit_code == 0);
    CHECK(zombies() == before);
}

TEST_CASE("without a program to start, launches fail with that reason", "[runner]") {
    RunnerFolder folder;
    FakeSlave slave(folder.runner_path(), "/no/such/rpicluster-runner");
    const auto report = slave.run(folder.shell("true"));
    CHECK(report.outcome == "node");
    CHECK(report.reason.find("/no/such/rpicluster-runner") != std::string::npos);
}
