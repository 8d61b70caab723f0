#include "common/machine/cpus.hpp"

#include <catch2/catch.hpp>

#include "common/limits.hpp"
#include "common/machine/machine.hpp"
#include "test/unit/recorded_machine.hpp"

using namespace rpic;
using namespace std::chrono_literals;
using rpic::test::RecordedMachine;

namespace {

void cpu_line(RecordedMachine& machine, const std::string& columns) {
    machine.file("proc/stat", "cpu  " + columns + "\ncpu0 " + columns + "\nintr 5\n");
}

}  // namespace

TEST_CASE("lists of CPUs") {
    CHECK(parse_cpu_list("0\n") == std::vector<int>{0});
    CHECK(parse_cpu_list("0-3") == std::vector<int>{0, 1, 2, 3});
    CHECK(parse_cpu_list("1,4-5,8\n") == std::vector<int>{1, 4, 5, 8});
    CHECK(parse_cpu_list("0-8191").size() == 8192);
    for (const auto* wrong : {"", "\n", "a", "-1", "3-1", "0-8192", "1,1", "4,2", "0-99999999999",
                              "0,,1", "0-3-5", "1 2", "0-"})
        CHECK(parse_cpu_list(wrong).empty());
}

TEST_CASE("CPU percent of the whole machine") {
    RecordedMachine machine;
    cpu_line(machine, "100 10 50 1000 40 5 5 0 70 0");
    Machine subject(machine.root());
    const auto start = Clock::now() + 1s;
    // Guest time is in user time already; waiting for the disk is idle, steal is busy.
    cpu_line(machine, "110 10 60 1060 50 5 5 10 99 0");
    CHECK(subject.vitals(start).cpu_percent == 30.0);

    SECTION("sooner than the counters tick: the last value") {
        cpu_line(machine, "900 10 60 1060 50 5 5 10 99 0");
        CHECK(subject.vitals(start + 9ms).cpu_percent == 30.0);
        CHECK(subject.vitals(start + limits::cpu_interval_min).cpu_percent == 100.0);
    }
    SECTION("no tick: the last value, and nothing is lost") {
        CHECK(subject.vitals(start + 5s).cpu_percent == 30.0);
        cpu_line(machine, "120 10 60 1060 50 5 5 10 99 0");
        CHECK(subject.vitals(start + 10s).cpu_percent == 100.0);
    }
    SECTION("idle time that goes back a little") {
        cpu_line(machine, "150 10 60 1060 40 5 5 10 99 0");
        CHECK(subject.vitals(start + 5s).cpu_percent == 100.0);
    }
    SECTION("busy time that goes back a little") {
        cpu_line(machine, "105 10 60 1160 50 5 5 10 99 0");
        CHECK(subject.vitals(start + 5s).cpu_percent == 0.0);
    }
    SECTION("all counters start anew") {
        cpu_line(machine, "1 0 0 1 0 0 0 0 0 0");
        CHECK_FALSE(subject.vitals(start + 5s).cpu_percent.has_value());
        cpu_line(machine, "2 0 0 4 0 0 0 0 0 0");
        CHECK(subject.vitals(start + 10s).cpu_percent == 25.0);
    }
    SECTION("the file goes away and comes back") {
        std::filesystem::remove(machine.root() / "proc/stat");
        CHECK_FALSE(subject.vitals(start + 5s).cpu_percent.has_value());
        cpu_line(machine, "200 0 0 200 0 0 0 0 0 0");
        CHECK_FALSE(subject.vitals(start + 10s).cpu_percent.has_value());
        cpu_line(machine, "300 0 0 200");  // four columns: a very old kernel
        CHECK(subject.vitals(start + 15s).cpu_percent == 100.0);
    }
    SECTION("time that goes back") {
        cpu_line(machine, "120 10 60 1090 50 5 5 10 99 0");
        CHECK(subject.vitals(start - 1h).cpu_percent == 25.0);
    }
}

TEST_CASE("the first vitals right after the start know no CPU percent") {
    RecordedMachine machine;
    cpu_line(machine, "100 0 0 100");
    const auto start = Clock::now();
    Machine subject(machine.root());
    CHECK_FALSE(subject.vitals(start).cpu_percent.has_value());
}

TEST_CASE("a cpuset chooses the CPUs that count") {
    RecordedMachine machine;
    machine.file("sys/devices/system/cpu/online", "0-3\n")
        .file("proc/self/cgroup", "0::/pinned\n")
        .file("proc/self/mountinfo", "30 25 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n")
        .file("sys/fs/cgroup/cpuset.cpus.effective", "0-3\n")
        .file("sys/fs/cgroup/pinned/cpuset.cpus.effective", "1,3\n")
        .cpu_ticks({{0, 0}, {0, 0}, {0, 0}, {0, 0}});
    Machine subject(machine.root());
    CHECK(subject.facts().cpu_cores == 2);
    const auto start = Clock::now() + 1s;
    machine.cpu_ticks({{100, 0}, {20, 80}, {100, 0}, {40, 60}});
    CHECK(subject.vitals(start).cpu_percent == 30.0);

    SECTION("CPUs that are shown under other numbers are all ours") {
        machine.cpu_ticks({{100, 0}, {20, 80}});
        CHECK_FALSE(subject.vitals(start + 5s).cpu_percent.has_value());  // other CPUs than before
        machine.cpu_ticks({{150, 0}, {70, 180}});
        CHECK(subject.vitals(start + 10s).cpu_percent == 50.0);
    }
    SECTION("a quota may be smaller still") {
        machine.file("sys/fs/cgroup/pinned/cpu.max", "20000 100000\n");
        CHECK(subject.facts().cpu_cores == 1);
    }
    SECTION("a cpuset that makes no sense is none") {
        machine.file("sys/fs/cgroup/pinned/cpuset.cpus.effective", "x\n");
        CHECK(subject.facts().cpu_cores == 4);
    }
    SECTION("a changed cpuset starts a new measurement") {
        machine.file("sys/fs/cgroup/pinned/cpuset.cpus.effective", "0,2\n");
        CHECK_FALSE(subject.vitals(start + 5s).cpu_percent.has_value());
    }
}
