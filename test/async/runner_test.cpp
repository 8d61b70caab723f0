#include <array>

#include "common/limits.hpp"
#include "test/async/runner_bench.hpp"

using namespace rpic;
using namespace rpic::test;

TEST_CASE("a task's exit code and both streams come back", "[runner]") {
    RunnerFolder folder;
    FakeSlave slave(folder.runner_path());
    const auto spec = folder.shell("echo out; echo err >&2; exit 7");
    const auto report = slave.run(spec);
    CHECK(report.outcome == "exited");
    CHECK(report.exit_code == 7);
    CHECK_FALSE(report.signal.has_value());
    CHECK(stream_of(slave.outputs[spec.key], OutputStream::out) == "out\n");
    CHECK(stream_of(slave.outputs[spec.key], OutputStream::err) == "err\n");
    CHECK(report.output_bytes == static_cast<std::int64_t>(slave.outputs[spec.key].size()));
    CHECK(slave.ended[spec.key].context == spec.context);
    CHECK(slave.launched.contains(spec.key));
    CHECK(report.max_rss_bytes > 0);
    CHECK(report.duration_seconds > 0);
}

TEST_CASE("a task that dies by a signal says by which", "[runner]") {
    RunnerFolder folder;
    FakeSlave slave(folder.runner_path());
    const auto report = slave.run(folder.shell("kill -SEGV $$"));
    CHECK(report.outcome == "signalled");
    CHECK(report.signal == SIGSEGV);
    CHECK_FALSE(report.exit_code.has_value());
}

TEST_CASE("a task sees its environment, folder and input, and nothing of the runner's",
          "[runner]") {
    RunnerFolder folder;
    FakeSlave slave(folder.runner_path());
    folder.write("input", "from a file\n");
    auto spec = folder.shell(
        "cat; pwd; echo $NAME; env | grep -c .; ls /proc/self/fd | wc -l;"
        "grep SigBlk /proc/self/status; grep SigIgn "
        "/proc/self/status; ps -o sid= $$");
    spec.env["NAME"] = "value";
    spec.stdin_file = (folder.path / "input").string();
    slave.run(spec);
    const auto text = stream_of(slave.outputs[spec.key], OutputStream::out);
    const auto sid = std::to_string(slave.launched[spec.key]);
    CHECK(text.starts_with("from a file\n" + folder.path.string() + "\nvalue\n"));
    // The three streams and the folder that ls reads.
    CHECK(text.find("\n4\n") != std::string::npos);
    CHECK(text.find("SigBlk:\t0000000000000000\n") != std::string::npos);
    // The C library ignores two signals of its own in what it starts; that may go on.
    const auto ignored = std::stoull(text.substr(text.find("SigIgn:\t") + 8), nullptr, 16);
    CHECK((ignored & ~(std::uint64_t{3} << 31)) == 0);
    CHECK(text.find(sid) != std::string::npos);
}

TEST_CASE("a task runs as the user that it is given", "[runner]") {
    if (::geteuid() != 0) return;
    RunnerFolder folder;
    FakeSlave slave(folder.runner_path());
    auto spec = folder.shell("id -u; id -g; id -G");
    ::chmod(folder.path.c_str(), 0755);
    spec.uid = 12345;
    spec.gid = 23456;
    spec.groups = {34567};
    slave.run(spec);
    CHECK(stream_of(slave.outputs[spec.key], OutputStream::out) == "12345\n23456\n23456 34567\n");
}

TEST_CASE("what cannot be executed is reported with a plain reason", "[runner]") {
    RunnerFolder folder;
    FakeSlave slave(folder.runner_path());
    const auto file = [&](const std::string& name) { return (folder.path / name).string(); };
    const auto outcome = [&](const std::string& command) {
        auto spec = folder.program({command});
        spec.env["PATH"] = folder.path.string() + ":/bin";
        return slave.run(spec);
    };
    auto report = outcome("no-such-command");
    CHECK(report.outcome == "not_found");
    CHECK(report.exit_code == 127);
    CHECK(report.reason == "no-such-command is not in PATH on this node");
    CHECK(report.duration_seconds == 0);

    folder.write("plain", "text\n", 0644);
    report = outcome(file("plain"));
    CHECK(report.outcome == "cannot_execute");
    CHECK(report.exit_code == 126);
    CHECK(report.reason == file("plain") + " is not executable: chmod +x it");

    folder.write("script", "#!/no/such/interpreter -x\n");
    report = outcome("script");
    CHECK(report.outcome == "cannot_execute");
    CHECK(report.reason ==
          file("script") + " is a script for /no/such/interpreter, which is not on this node");

    std::string foreign("\177ELF\2\1\1", 7);
    foreign.resize(64);
    foreign[16] = 2;
    foreign[18] = static_cast<char>(0xf3);  // RISC-V
    foreign[20] = 1;
    folder.write("foreign", foreign);
    report = outcome(file("foreign"));
    CHECK(report.outcome == "cannot_execute");
    CHECK(report.reason.starts_with(file("foreign") + " is a program for riscv64, this node is "));

    report = outcome(folder.path.string());
    CHECK(report.reason == folder.path.string() + " is a folder, not a program");

    auto spec = folder.shell("true");
    spec.cwd = "/no/such/folder";
    CHECK(slave.run(spec).outcome == "cannot_execute");
    spec = folder.shell("true");
    spec.folder = file("gone");
    CHECK(slave.run(spec).outcome == "node");
}

TEST_CASE("what waits for a task that cannot be executed runs after it", "[runner]") {
    RunnerFolder folder;
    FakeSlave slave(folder.runner_path());
    slave.run(folder.shell("true"));
    for (int round = 0; round < 50; ++round) {
        const auto absent = folder.program({"no-such-command"});
        const auto next = folder.shell("exit 3");
        slave.launch(absent);
        slave.hold(next, absent.key);
        slave.until([&] { return slave.ended.contains(next.key); });
        REQUIRE(slave.ended[absent.key].report.outcome == "not_found");
        REQUIRE(slave.ended[next.key].report.exit_code == 3);
        slave.forget(absent.key);
        slave.forget(next.key);
    }
}

TEST_CASE("many programs are started at once, good and bad ones", "[runner]") {
    RunnerFolder folder;
    FakeSlave slave(folder.runner_path());
    folder.write("plain", "text\n", 0644);
    std::vector<LaunchSpec> specs;
    for (int i = 0; i < 60; ++i) {
        if (i % 3 == 0) specs.push_back(folder.shell("exit 5"));
        if (i % 3 == 1) specs.push_back(folder.program({"no-such-command"}));
        if (i % 3 == 2) specs.push_back(folder.program({(folder.path / "plain").string()}));
    }
    for (const auto& spec : specs) slave.launch(spec);
    slave.until([&] { return slave.ended.size() == specs.size(); });
    for (std::size_t i = 0; i < specs.size(); ++i) {
        const auto& report = slave.ended[specs[i].key].report;
        CHECK(report.outcome == std::array{"exited", "not_found", "cannot_execute"}[i % 3]);
        CHECK(report.exit_code == std::array{5, 127, 126}[i % 3]);
    }
}

TEST_CASE("a script without an interpreter line runs as in a shell", "[runner]") {
    RunnerFolder folder;
    FakeSlave slave(folder.runner_path());
    folder.write("script", "echo \"$1\"\n");
    const auto spec = folder.program({(folder.path / "script").string(), "argument"});
    CHECK(slave.run(spec).exit_code == 0);
    CHECK(stream_of(slave.outputs[spec.key], OutputStream::out) == "argument\n");
}

TEST_CASE("large and binary output goes to a file, whole", "[runner]") {
    RunnerFolder folder;
    FakeSlave slave(folder.runner_path());
    const auto spec = folder.shell("head -c 3000000 /dev/zero; printf '\\r\\377end'");
    const auto report = slave.run(spec);
    const auto& ended = slave.ended[spec.key];
    CHECK(slave.outputs[spec.key].empty());
    REQUIRE_FALSE(ended.output_file.empty());
    CHECK(std::filesystem::file_size(ended.output_file) ==
          static_cast<std::size_t>(report.output_bytes));
    const auto text = stream_of(slave.read_all(spec.key), OutputStream::out);
    CHECK(text == std::string(3000000, '\0') + "\r\377end");
    slave.forget(spec.key);
    slave.until([&] { return !std::filesystem::exists(ended.output_file); });
}

TEST_CASE("output beyond its limit is dropped, and a note says how much", "[runner]") {
    RunnerFolder folder;
    FakeSlave slave(folder.runner_path());
    const auto spec = folder.shell("head -c 100000000 /dev/zero");
    const auto report = slave.run(spec);
    CHECK(report.exit_code == 0);
    CHECK(report.output_bytes <= static_cast<std::int64_t>(limits::output_bytes));
    CHECK(report.output_bytes > static_cast<std::int64_t>(limits::output_bytes) - 4096);
    const auto note = stream_of(slave.read_all(spec.key), OutputStream::note);
    CHECK(note.find("of output were dropped: an attempt may print 64M") != std::string::npos);
}

TEST_CASE("a reader is told as output comes, and when all was seen", "[runner]") {
    RunnerFolder folder;
    FakeSlave slave(folder.runner_path());
    const auto spec = folder.shell("echo one; while [ ! -e go ]; do sleep 0.02; done; echo two");
    slave.start(spec);
    ReadAttempt read;
    read.id = 1000;
    read.key = spec.key;
    read.wait = true;
    slave.link.send(read);
    slave.until([&] { return slave.answer.id == 1000; });
    CHECK(stream_of(slave.answer_records, OutputStream::out) == "one\n");
    CHECK_FALSE(slave.answer.complete);
    folder.write("go");
    CHECK(stream_of(slave.read_all(spec.key), OutputStream::out) == "one\ntwo\n");
    read.id = 1001;
    read.key = {99, 99, 99};
    slave.link.send(read);
    slave.until([&] { return slave.answer.id == 1001; });
    CHECK_FALSE(slave.answer.known);
}

TEST_CASE("a time limit ends a task, also one that ignores TERM or is stopped", "[runner]") {
    RunnerFolder folder;
    const bool groups = GENERATE(true, false);
    FakeSlave slave(folder.runner_path(), groups ? "" : folder.without_groups());
    const std::string command =
        GENERATE("sleep 1000", "trap '' TERM; while :; do sleep 0.1; done", "kill -STOP $$");
    auto spec = folder.shell(command);
    spec.time_limit_seconds = 0.2;
    const auto report = slave.run(spec);
    INFO(command << ": exit code " << report.exit_code.value_or(-1) << ", " << report.reason);
    CHECK(report.outcome == "time_limit");
    CHECK(report.signal.has_value());
    CHECK(report.duration_seconds >= 0.2);
}

TEST_CASE("an order ends a task with the outcome that it names", "[runner]") {
    RunnerFolder folder;
    const bool groups = GENERATE(true, false);
    FakeSlave slave(folder.runner_path(), groups ? "" : folder.without_groups());
    auto spec = folder.shell("trap 'echo asked; exit 3' TERM; echo ready; sleep 1000 & wait");
    spec.grace_seconds = 2;  // it answers at once, but on a busy machine that is late
    slave.start(spec);
    ReadAttempt read;
    read.id = 1;
    read.key = spec.key;
    read.wait = true;
    slave.link.send(read);
    slave.until([&] { return slave.answer.id == 1; });
    KillAttempts order;
    order.attempts = {spec.key};
    order.outcome = "killed";
    order.reason = "cancelled";
    slave.link.send(order);
    slave.until([&] { return slave.ended.contains(spec.key); });
    const auto& report = slave.ended[spec.key].report;
    CHECK(report.outcome == "killed");
    CHECK(report.reason == "cancelled");
    CHECK(report.exit_code == 3);
    CHECK(stream_of(slave.outputs[spec.key], OutputStream::out) == "ready\nasked\n");
}

TEST_CASE("a held task starts when the one before it has ended, or at a word", "[runner]") {
    RunnerFolder folder;
    FakeSlave slave(folder.runner_path());
    const auto waits = "while [ ! -e go ]; do sleep 0.02; done; echo first >> order";
    const auto first = folder.shell(waits);
    const auto next = folder.shell("echo next >> order");
    const auto early = folder.shell("true");
    const auto never = folder.shell("true");
    const auto late = folder.shell("true");
    slave.start(first);
    slave.hold(next, first.key);
    const auto second = folder.shell("sleep 1000");
    slave.start(second);
    slave.hold(early, second.key);
    slave.run(folder.shell("true"));
    CHECK_FALSE(slave.launched.contains(next.key));
    CHECK_FALSE(slave.launched.contains(early.key));
    StartHeld start;
    start.attempts = {early.key};
    slave.link.send(start);
    slave.until([&] { return slave.ended.contains(early.key); });
    CHECK(slave.ended[early.key].report.outcome == "exited");
    slave.hold(never, second.key);
    KillAttempts order;
    order.attempts = {never.key};
    order.outcome = "killed";
    slave.link.send(order);
    slave.until([&] { return slave.ended.contains(never.key); });
    CHECK(slave.ended[never.key].report.outcome == "killed");
    CHECK_FALSE(slave.launched.contains(never.key));
    folder.write("go");
    slave.until([&] { return slave.ended.contains(next.key); });
    CHECK(folder.text_of("order") == "first\nnext\n");
    // There is nothing left that it could wait for.
    slave.hold(late, first.key);
    slave.until([&] { return slave.ended.contains(late.key); });
}

TEST_CASE("what is held is forgotten with the slave that wanted it", "[runner]") {
    RunnerFolder folder;
    const auto first = folder.shell("while [ ! -e go ]; do sleep 0.02; done");
    const auto next = folder.shell("echo ran > next");
    {
        FakeSlave slave(folder.runner_path());
        slave.start(first);
        slave.hold(next, first.key);
        slave.run(folder.shell("true"));
    }
    FakeSlave slave(folder.runner_path());
    slave.until([&] { return slave.attached == 1; });
    CHECK_FALSE(slave.listed.contains(next.key));
    folder.write("go");
    slave.until([&] { return slave.ended.contains(first.key); });
    slave.run(folder.shell("true"));
    CHECK_FALSE(folder.there("next"));
}

TEST_CASE("what a task leaves behind is killed", "[runner]") {
    RunnerFolder folder;
    const bool groups = GENERATE(true, false);
    FakeSlave slave(folder.runner_path(), groups ? "" : folder.without_groups());
    // A plain child, one in a session of its own, and one that its parent has left, each without
    // the task's output.
    const std::string quiet = " </dev/null >/dev/null 2>&1";
    const std::string command = GENERATE("sleep 1000 & echo $! >pid",
                                         "setsid sh -c 'trap \"\" TERM; echo $$ >pid; "
                                         "while :; do sleep 1; done' &",
                                         "(setsid sh -c 'echo $$ >pid; exec sleep 1000' &)");
    const bool holds_output = GENERATE(true, false);
    const auto spec =
        folder.shell((holds_output ? "{ " + command + "\n}" : "{ " + command + "\n}" + quiet) +
                     "\nwhile [ ! -s pid ]; do sleep 0.01; done");
    CHECK(slave.run(spec).exit_code == 0);
    slave.forget(spec.key);
    const pid_t left = pid_in(slave, folder, "pid");
    slave.until([&] { return !lives(left); });
}

TEST_CASE("a task that multiplies is killed whole", "[runner]") {
    RunnerFolder folder;
    const bool groups = GENERATE(true, false);
    FakeSlave slave(folder.runner_path(), groups ? "" : folder.without_groups());
    // Two hundred generations, each in a session of its own, that never pause.
    folder.write("bomb",
                 "#!/bin/sh\ntrap '' TERM\nsetsid \"$0\" $(($1 + 1)) &\n"
                 "[ $1 -lt 200 ] || sleep 1000\nsleep 1000\n");
    auto spec = folder.program({(folder.path / "bomb").string(), "1"});
    spec.time_limit_seconds = 0.5;
    spec.grace_seconds = 0;
    CHECK(slave.run(spec).outcome == "time_limit");
    const auto bombs = [&] {
        int count = 0;
        for (const auto& each : list_processes()) {
            std::ifstream file("/proc/" + std::to_string(each.pid) + "/cmdline");
            const std::string line{std::istreambuf_iterator<char>(file), {}};
            count += line.find((folder.path / "bomb").string()) != std::string::npos;
        }
        return count;
    };
    slave.until([&] { return bombs() == 0; });
}

TEST_CASE("memory beyond what was asked for ends a task with these words", "[runner]") {
    RunnerFolder folder;
    const bool groups = GENERATE(true, false);
    FakeSlave slave(folder.runner_path(), groups ? "" : folder.without_groups());
    auto spec = folder.shell("x=$(head -c 200000000 /dev/zero | tr '\\0' x); sleep 1000");
    spec.memory_bytes = 50 * 1024 * 1024;
    const auto report = slave.run(spec);
    CHECK(report.outcome == "memory");
    CHECK(report.reason.ends_with("50M that it asked for"));
}

TEST_CASE("a lease that nobody renews ends its attempt, a renewed one does not", "[runner]") {
    RunnerFolder folder;
    FakeSlave slave(folder.runner_path());
    auto spec = folder.shell("sleep 1000");
    spec.stop_after_seconds = 0.6;
    slave.start(spec);
    const auto began = Clock::now();
    RenewLease renewal;
    renewal.sent_at_ns = (began + std::chrono::hours(1)).time_since_epoch().count();
    slave.link.send(renewal);  // a time to come counts for nothing
    slave.until([&] {
        if (Clock::now() - began < std::chrono::milliseconds(1500)) {
            renewal.sent_at_ns = Clock::now().time_since_epoch().count();
            slave.link.send(renewal);
        }
        return slave.ended.contains(spec.key);
    });
    const auto& report = slave.ended[spec.key].report;
    CHECK(report.outcome == "lease");
    CHECK(report.duration_seconds >= 1.4);
}

TEST_CASE("a task that was launched late has only what is left of its lease", "[runner]") {
    RunnerFolder folder;
    FakeSlave slave(folder.runner_path());
    slave.run(folder.shell("true"));  // from now on there is a runner to tell something
    constexpr double lease = 30;
    RenewLease renewal;
    const auto heard = Clock::now() - std::chrono::seconds(29);
    renewal.sent_at_ns = heard.time_since_epoch().count();
    slave.link.send(renewal);
    auto spec = folder.shell("sleep 1000");
    spec.stop_after_seconds = lease;
    slave.start(spec);
    slave.until([&] { return slave.ended.contains(spec.key); });
    CHECK(slave.ended[spec.key].report.outcome == "lease");
    CHECK(slave.ended[spec.key].report.duration_seconds < lease / 2);
}
