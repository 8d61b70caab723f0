#include <sys/stat.h>

#include "test/async/worker_bench.hpp"

using namespace rpic;
using namespace rpic::test;
using namespace std::string_literals;

namespace {

bool is_line(const std::string& text, const std::string& line) {
    return ("\n" + text).find("\n" + line + "\n") != std::string::npos;
}

}  // namespace

TEST_CASE("a task runs in its folder with its environment, and leaves nothing", "[worker]") {
    RunnerFolder folder;
    WorkerBench bench(folder);
    AttemptKey key;
    auto script = [&]() -> asio::awaitable<void> {
        co_await bench.connect_and_adopt();
        CHECK(bench.resync.empty());
        auto job = WorkerBench::shell_job("env; /bin/pwd; echo data > made; ls; id -un; exit 3");
        job.env = {{"COLOUR", "red"}, {"RPIC_NODE", "liar"}, {"LANG", "de_DE"}};
        job.memory_bytes = 64 << 20;
        job.cpus = 0.5;
        key = bench.order(job, false, "the item");
        co_await bench.until_reported(key);
        CHECK(std::filesystem::exists(bench.work_folder(key) / "made"));
        bench.acknowledge(key);
        const auto folder_gone = [&] { return !std::filesystem::exists(bench.work_folder(key)); };
        co_await bench.until(folder_gone);
    };
    bench.play(script);
    CHECK(bench.reports[key].outcome == "exited");
    CHECK(bench.reports[key].exit_code == 3);
    const auto text = bench.out(key);
    const auto place = bench.work_folder(key).string();
    for (const auto& line :
         {"RPIC_JOB=1"s, "RPIC_TASK=3"s, "RPIC_ATTEMPT=1"s, "RPIC_ITEM=the item"s, "RPIC_NODE=pi"s,
          "RPIC_CPUS=0.5"s, "RPIC_MEMORY=67108864"s, "COLOUR=red"s, "LANG=de_DE"s, "HOME=" + place,
          place, "made"s})
        CHECK(is_line(text, line));
    if (::geteuid() == 0) CHECK_FALSE(is_line(text, "root"));
    CHECK(bench.started.empty());
}

TEST_CASE("tasks end in every way, and each is told with its outcome", "[worker]") {
    RunnerFolder folder;
    WorkerBench bench(folder);
    auto script = [&]() -> asio::awaitable<void> {
        co_await bench.connect_and_adopt();
        NodeJob job;
        job.command = {"no-such-program"};
        const auto missing = bench.order(job);
        auto elsewhere = WorkerBench::shell_job("true");
        elsewhere.cwd = "/no/such/folder";
        const auto nowhere = bench.order(elsewhere);
        elsewhere.cwd = "below";
        const auto below = bench.order(elsewhere);
        elsewhere.cwd = "/usr/share";
        elsewhere.command = {"/bin/pwd"};
        const auto share = bench.order(elsewhere);
        NodeJob large;
        large.cpus = 99;
        const auto too_large = bench.order(large);
        const auto long_one = bench.order("echo begun; sleep 100");
        for (const auto& key : {missing, nowhere, below, share, too_large})
            co_await bench.until_reported(key);
        CHECK(bench.reports[missing].outcome == "not_found");
        CHECK(bench.reports[nowhere].outcome == "cannot_execute");
        CHECK(bench.reports[below].outcome == "cannot_execute");
        CHECK(bench.out(share) == "/usr/share\n");
        CHECK(bench.reports[too_large].outcome == "node");
        const auto one_started = [&] { return !bench.started.empty(); };
        co_await bench.until(one_started);
        CHECK(bench.started == std::vector<AttemptKey>{long_one});
        StopAttempts stop;
        stop.attempts = {long_one};
        stop.reason = "cancelled";
        bench.say(stop);
        co_await bench.until_reported(long_one);
        CHECK(bench.reports[long_one].outcome == "killed");
        CHECK(bench.reports[long_one].reason == "cancelled");
        CHECK(bench.out(long_one) == "begun\n");
    };
    bench.play(script);
}

TEST_CASE("a slave that comes back finds its tasks running", "[worker]") {
    RunnerFolder folder;
    WorkerBench bench(folder);
    AttemptKey running, ended;
    const auto gate = folder.path / "gate";
    auto first = [&]() -> asio::awaitable<void> {
        co_await bench.connect_and_adopt();
        ended = bench.order("echo done before");
        co_await bench.until_reported(ended);
        running = bench.order("echo begun; while ! test -e " + gate.string() +
                              "; do sleep 0.01; done; echo over");
        const auto runs = [&] { return !bench.started.empty(); };
        co_await bench.until(runs);
    };
    ::chmod(folder.path.c_str(), 0711);
    bench.play(first);
    bench.reports.clear();
    bench.outputs.clear();
    std::filesystem::create_directory(bench.options.tasks / "7.7.7");
    auto second = [&]() -> asio::awaitable<void> {
        co_await bench.connect();
        const auto resynced = [&] { return bench.resync_complete; };
        co_await bench.until(resynced);
        CHECK(bench.resync.size() == 2);
        CHECK(bench.reports.empty());
        CHECK_FALSE(std::filesystem::exists(bench.work_folder({9, 9, 9})));
        Resynced answer;
        for (const auto& state : bench.resync) answer.verdicts.push_back({state.key, "adopt"});
        bench.say(answer);
        co_await bench.until_reported(ended);
        std::ofstream(gate).put('x');
        co_await bench.until_reported(running);
        const auto leftover_gone = [&] {
            return !std::filesystem::exists(bench.options.tasks / "7.7.7");
        };
        co_await bench.until(leftover_gone);
        CHECK(std::filesystem::exists(bench.work_folder(running)));
    };
    bench.play(second);
    CHECK(bench.out(ended) == "done before\n");
    CHECK(bench.out(running) == "begun\nover\n");
}

TEST_CASE("what ended without a link is told after the next resync, until it is acknowledged",
          "[worker]") {
    RunnerFolder folder;
    WorkerBench bench(folder);
    auto script = [&]() -> asio::awaitable<void> {
        co_await bench.connect_and_adopt();
        const auto key = bench.order("sleep 0.2; echo late; touch over");
        const auto runs = [&] { return !bench.started.empty(); };
        co_await bench.until(runs);
        bench.disconnect();
        const auto has_ended = [&] {
            return std::filesystem::exists(bench.work_folder(key) / "over");
        };
        co_await bench.until(has_ended);
        for (int times = 0; times < 3; ++times) {
            bench.reports.clear();
            bench.outputs.clear();
            co_await bench.connect_and_adopt();
            co_await bench.until_reported(key);
            CHECK(bench.out(key) == "late\n");
        }
        bench.acknowledge(key);
        co_await bench.connect_and_adopt();
        CHECK(bench.resync.empty());
    };
    bench.play(script);
}

TEST_CASE("tasks whose runner was killed end so, and the next ones get another runner",
          "[worker]") {
    RunnerFolder folder;
    WorkerBench bench(folder);
    auto script = [&]() -> asio::awaitable<void> {
        co_await bench.connect_and_adopt();
        const auto victim = bench.order("sleep 100");
        const auto runs = [&] { return !bench.started.empty(); };
        co_await bench.until(runs);
        ::kill(folder.runner(), SIGKILL);
        co_await bench.until_reported(victim);
        CHECK(bench.reports[victim].outcome == "runner");
        const auto next = bench.order("echo again");
        co_await bench.until_reported(next);
        CHECK(bench.out(next) == "again\n");
    };
    bench.play(script);
}

TEST_CASE("what the runner says is in a file beside the slave's log", "[worker]") {
    RunnerFolder folder;
    WorkerBench bench(folder);
    bench.options.runner_log = folder.path / "slave.log.runner";
    auto script = [&]() -> asio::awaitable<void> {
        co_await bench.connect_and_adopt();
        const auto key = bench.order("true");
        co_await bench.until_reported(key);
    };
    bench.play(script);
    CHECK(folder.text_of("slave.log.runner").find(" attached\n") != std::string::npos);
}

TEST_CASE("tasks wait for room, and are given back when the master asks", "[worker]") {
    RunnerFolder folder;
    WorkerBench bench(folder);
    bench.capacity.milli_cpus = 1000;
    auto script = [&]() -> asio::awaitable<void> {
        co_await bench.connect_and_adopt();
        const auto first = bench.order("sleep 0.3");
        const auto second = bench.order(WorkerBench::shell_job("echo second"), true);
        const auto third = bench.order(WorkerBench::shell_job("echo third"), true);
        const auto runs = [&] { return !bench.started.empty(); };
        co_await bench.until(runs);
        StopAttempts stop;
        stop.attempts = {first, third};
        stop.retract = true;
        bench.say(stop);
        const auto given_back = [&] { return !bench.retracted.empty(); };
        co_await bench.until(given_back);
        CHECK(bench.retracted == std::vector<AttemptKey>{third});
        CHECK_FALSE(bench.reports.contains(second));
        co_await bench.until_reported(second);
        CHECK(bench.reports.contains(first));
        const auto gone = [&] { return !std::filesystem::exists(bench.work_folder(third)); };
        co_await bench.until(gone);
    };
    bench.play(script);
}

TEST_CASE("a work folder that cannot be made is told as the node's trouble", "[worker]") {
    RunnerFolder folder;
    WorkerBench bench(folder);
    auto script = [&]() -> asio::awaitable<void> {
        co_await bench.connect_and_adopt();
        std::filesystem::remove(bench.options.tasks);
        std::ofstream(bench.options.tasks).put('x');
        const auto key = bench.order("true");
        co_await bench.until_reported(key);
        CHECK(bench.reports[key].outcome == "node");
        CHECK(bench.reports[key].reason.find("cannot") != std::string::npos);
    };
    bench.play(script);
    CHECK(folder.runner() == 0);
}

TEST_CASE("many short tasks share messages", "[worker]") {
    RunnerFolder folder;
    WorkerBench bench(folder);
    auto script = [&]() -> asio::awaitable<void> {
        co_await bench.connect_and_adopt();
        StartTasks orders;
        orders.job = 500;
        orders.spec.emplace();
        orders.spec->command = {"/bin/echo", "{}"};
        orders.spec->cpus = 1;
        orders.spec->items = true;
        for (std::int64_t task = 1; task <= 200; ++task)
            orders.tasks.push_back({task, 1, "item" + std::to_string(task), true});
        bench.say(orders);
        const auto all_told = [&] { return bench.reports.size() == 200; };
        co_await bench.until(all_told);
        CHECK(bench.out({500, 77, 1}) == "item77\n");
        CHECK(bench.messages_of_ends <= 200);
        AckAttempts ack;
        for (const auto& task : orders.tasks) ack.attempts.push_back({500, task.task, 1});
        bench.say(ack);
        const auto folders_gone = [&] { return std::filesystem::is_empty(bench.options.tasks); };
        co_await bench.until(folders_gone);
    };
    bench.play(script);
}

TEST_CASE("an order to reboot runs the configured command", "[worker]") {
    RunnerFolder folder;
    WorkerBench bench(folder);
    auto script = [&]() -> asio::awaitable<void> {
        co_await bench.connect_and_adopt();
        Power power;
        power.action = "format the disk";
        bench.say(power);
        power.action = "reboot";
        bench.say(power);
        const auto rebooted = [&] { return folder.text_of("rebooted") == "now\n"; };
        co_await bench.until(rebooted);
    };
    bench.play(script);
}
