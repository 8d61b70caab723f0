#include "common/machine/cgroup.hpp"

#include <catch2/catch.hpp>

#include "common/machine/machine.hpp"
#include "test/unit/recorded_machine.hpp"

using namespace rpic;
using namespace std::chrono_literals;
using rpic::test::RecordedMachine;

namespace {

constexpr std::int64_t mib = 1024 * 1024;

/// A machine of 4 CPUs and 4 GiB, half busy.
void four_cpus(RecordedMachine& machine) {
    machine.file("sys/devices/system/cpu/online", "0-3\n")
        .memory(4 * 1024 * 1024, 3 * 1024 * 1024)
        .cpu_ticks({{0, 0}, {0, 0}, {0, 0}, {0, 0}});
}

std::string mount(const std::string& root, const std::string& point, const std::string& type,
                  const std::string& options = "rw") {
    return "30 25 0:26 " + root + " " + point + " rw,nosuid shared:9 - " + type + " " + type + " " +
           options + "\n";
}

/// The groups of v1 as systemd and Docker mount them: cpu and cpuacct together.
std::string v1_mounts(const std::string& root) {
    return "24 23 0:22 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n" +
           mount(root, "/sys/fs/cgroup/systemd", "cgroup", "rw,xattr,name=systemd") +
           mount(root, "/sys/fs/cgroup/cpu,cpuacct", "cgroup", "rw,cpu,cpuacct") +
           mount(root, "/sys/fs/cgroup/cpuset", "cgroup", "rw,cpuset") +
           mount(root, "/sys/fs/cgroup/memory", "cgroup", "rw,memory");
}

std::string v1_table(const std::string& group) {
    return "12:memory:" + group + "\n5:cpuset:" + group + "\n4:cpu,cpuacct:" + group +
           "\n1:name=systemd:" + group + "\n";
}

/// Limits of a v1 container: 1.5 CPUs, 512 MiB of which 200 are used, 50 of these reclaimable.
void v1_limits(RecordedMachine& machine, const std::string& group) {
    const auto cpu = "sys/fs/cgroup/cpu,cpuacct" + group;
    const auto memory = "sys/fs/cgroup/memory" + group;
    machine.file(cpu + "/cpu.cfs_quota_us", "150000\n")
        .file(cpu + "/cpu.cfs_period_us", "100000\n")
        .file(cpu + "/cpuacct.usage", "1000000000\n")
        .file("sys/fs/cgroup/cpuset" + group + "/cpuset.cpus", "0-3\n")
        .file(memory + "/memory.limit_in_bytes", std::to_string(512 * mib) + "\n")
        .file(memory + "/memory.usage_in_bytes", std::to_string(200 * mib) + "\n")
        .file(memory + "/memory.stat",
              "cache 1\ninactive_file 5\ntotal_inactive_file " + std::to_string(50 * mib) + "\n");
}

/// The same limits in v2.
void v2_limits(RecordedMachine& machine, const std::string& directory) {
    machine.file(directory + "/cpu.max", "150000 100000\n")
        .file(directory + "/cpu.stat", "usage_usec 1000000\nuser_usec 1\nsystem_usec 2\n")
        .file(directory + "/memory.max", std::to_string(512 * mib) + "\n")
        .file(directory + "/memory.current", std::to_string(200 * mib) + "\n")
        .file(directory + "/memory.stat",
              "anon 1\ninactive_anon 5\ninactive_file " + std::to_string(50 * mib) + "\n");
}

/// That the limits above are seen, and that `usage_file` is what the CPU percent comes from.
void check_limits(RecordedMachine& machine, const std::string& usage_file,
                  const std::string& usage_after_3_cpu_seconds) {
    Machine subject(machine.root());
    CHECK(subject.facts().cpu_cores == 2);  // 1.5 rounded up
    CHECK(subject.facts().ram_bytes == 512 * mib);
    const auto start = Clock::now() + 1s;
    CHECK(subject.vitals(start).ram_available_bytes == 362 * mib);
    machine.file(usage_file, usage_after_3_cpu_seconds);
    machine.cpu_ticks({{999, 0}, {999, 0}, {999, 0}, {999, 0}});  // others, not us
    const auto percent = subject.vitals(start + 4s).cpu_percent;
    REQUIRE(percent.has_value());
    CHECK(*percent == Approx(50));  // 3 CPU seconds of the 6 that 4 s of 1.5 CPUs make
}

}  // namespace

TEST_CASE("a container with cgroup v1 that sees the host's paths") {
    RecordedMachine machine;
    four_cpus(machine);
    machine.file("proc/self/cgroup", v1_table("/docker/abc"))
        .file("proc/self/mountinfo", v1_mounts("/docker/abc"));
    v1_limits(machine, "");
    check_limits(machine, "sys/fs/cgroup/cpu,cpuacct/cpuacct.usage", "4000000000\n");
}

TEST_CASE("a container with cgroup v1 and a cgroup namespace") {
    RecordedMachine machine;
    four_cpus(machine);
    machine.file("proc/self/cgroup", v1_table("/")).file("proc/self/mountinfo", v1_mounts("/"));
    v1_limits(machine, "");
    check_limits(machine, "sys/fs/cgroup/cpu,cpuacct/cpuacct.usage", "4000000000\n");
}

TEST_CASE("cgroup v1 without limits") {
    RecordedMachine machine;
    four_cpus(machine);
    machine.file("proc/self/cgroup", v1_table("/user.slice"))
        .file("proc/self/mountinfo", v1_mounts("/"))
        .file("sys/fs/cgroup/cpu,cpuacct/user.slice/cpu.cfs_quota_us", "-1\n")
        .file("sys/fs/cgroup/cpu,cpuacct/user.slice/cpu.cfs_period_us", "100000\n")
        .file("sys/fs/cgroup/memory/user.slice/memory.limit_in_bytes", "9223372036854771712\n")
        .file("sys/fs/cgroup/memory/user.slice/memory.usage_in_bytes", "1\n");
    Machine subject(machine.root());
    CHECK(subject.facts().cpu_cores == 4);
    CHECK(subject.facts().ram_bytes == 4096 * mib);
    CHECK(subject.vitals(Clock::now()).ram_available_bytes == 3072 * mib);
    // Without the machine's own figure v1's number for "none" is not taken for RAM.
    machine.file("proc/meminfo", "");
    CHECK(subject.facts().ram_bytes == 0);
    CHECK_FALSE(subject.vitals(Clock::now()).ram_available_bytes.has_value());
}

TEST_CASE("cpu and cpuacct of v1 mounted apart") {
    RecordedMachine machine;
    four_cpus(machine);
    machine.file("proc/self/cgroup", "3:memory:/a\n2:cpuacct:/a/b\n1:cpu:/a/b\n0::/\n")
        .file("proc/self/mountinfo",
              mount("/", "/sys/fs/cgroup/cpu", "cgroup", "rw,cpu") +
                  mount("/", "/sys/fs/cgroup/cpuacct", "cgroup", "rw,cpuacct") +
                  mount("/", "/sys/fs/cgroup/memory", "cgroup", "rw,memory"))
        .file("sys/fs/cgroup/cpu/a/cpu.cfs_quota_us", "150000\n")
        .file("sys/fs/cgroup/cpu/a/cpu.cfs_period_us", "100000\n")
        .file("sys/fs/cgroup/cpu/a/b/cpu.cfs_quota_us", "-1\n")
        .file("sys/fs/cgroup/cpuacct/a/cpuacct.usage", "1000000000\n")
        .file("sys/fs/cgroup/cpuacct/a/b/cpuacct.usage", "7\n")
        .file("sys/fs/cgroup/memory/a/memory.limit_in_bytes", std::to_string(512 * mib))
        .file("sys/fs/cgroup/memory/a/memory.usage_in_bytes", std::to_string(150 * mib));
    // What counts against the quota of /a is what /a used, not what /a/b did.
    check_limits(machine, "sys/fs/cgroup/cpuacct/a/cpuacct.usage", "4000000000\n");
}

TEST_CASE("a container with cgroup v2 and a cgroup namespace") {
    RecordedMachine machine;
    four_cpus(machine);
    machine.file("proc/self/cgroup", "0::/\n")
        .file("proc/self/mountinfo", mount("/", "/sys/fs/cgroup", "cgroup2"));
    v2_limits(machine, "sys/fs/cgroup");
    check_limits(machine, "sys/fs/cgroup/cpu.stat", "usage_usec 4000000\n");
}

TEST_CASE("a service with cgroup v2 whose ancestor has the limit") {
    RecordedMachine machine;
    four_cpus(machine);
    machine.file("proc/self/cgroup", "0::/system.slice/a\\x2db.service/sub\n")
        .file("proc/self/mountinfo", mount("/", "/sys/fs/cgroup", "cgroup2"))
        .file("sys/fs/cgroup/system.slice/a\\x2db.service/sub/cpu.max", "max 100000\n")
        .file("sys/fs/cgroup/system.slice/a\\x2db.service/sub/memory.max", "max\n")
        .file("sys/fs/cgroup/system.slice/a\\x2db.service/sub/cpu.stat", "usage_usec 5\n")
        .file("sys/fs/cgroup/system.slice/cpu.max", "300000 100000\n")
        .file("sys/fs/cgroup/system.slice/memory.max", std::to_string(1024 * mib));
    v2_limits(machine, "sys/fs/cgroup/system.slice/a\\x2db.service");
    check_limits(machine, "sys/fs/cgroup/system.slice/a\\x2db.service/cpu.stat",
                 "usage_usec 4000000\n");
}

TEST_CASE("a container with cgroup v2 whose mount shows only its own group") {
    RecordedMachine machine;
    four_cpus(machine);
    machine.file("proc/self/cgroup", "0::/docker/abc/inner\n")
        .file("proc/self/mountinfo", mount("/docker/abc", "/mnt/with\\040space", "cgroup2"))
        .directory("mnt/with space/inner");
    v2_limits(machine, "mnt/with space");
    check_limits(machine, "mnt/with space/cpu.stat", "usage_usec 4000000\n");
}

TEST_CASE("a mount from outside the cgroup namespace") {
    RecordedMachine machine;
    four_cpus(machine);
    const auto seen = [&](const std::string& own, const std::string& root) {
        machine.file("proc/self/cgroup", "0::" + own + "\n")
            .file("proc/self/mountinfo", mount(root, "/sys/fs/cgroup", "cgroup2"));
        return Machine(machine.root()).facts().cpu_cores;
    };
    v2_limits(machine, "sys/fs/cgroup");
    machine.file("sys/fs/cgroup/x/cpu.max", "100000 100000\n");
    CHECK(seen("/../..", "/../..") == 2);    // the mount shows our own group
    CHECK(seen("/../../x", "/../..") == 1);  // and one below it
    CHECK(seen("/", "/../..") == 2);         // names hidden, the ancestor's limit still binds
    CHECK(seen("/../y", "/../..") == 2);
    CHECK(seen("/..", "/") == 4);        // we are above what the mount shows: not our limit
    CHECK(seen("/../y", "/../x") == 4);  // a neighbour's group
    CHECK(seen("/docker/b", "/docker/a") == 4);
}

TEST_CASE("a container with cgroup v1 and v2 side by side") {
    const std::string groups[] = {"", "/docker/abc"};
    for (const auto& own : groups) {
        RecordedMachine machine;
        four_cpus(machine);
        const auto path = own.empty() ? "/" : own;
        machine.file("proc/self/cgroup", v1_table(path) + "0::" + path + "\n")
            .file("proc/self/mountinfo",
                  v1_mounts("/") + mount("/", "/sys/fs/cgroup/unified", "cgroup2"));
        v1_limits(machine, own);
        machine.file("sys/fs/cgroup/unified" + own + "/cpu.stat", "usage_usec 77\n");
        check_limits(machine, "sys/fs/cgroup/cpu,cpuacct" + own + "/cpuacct.usage", "4000000000\n");
    }
}

TEST_CASE("v1 has some controllers and v2 the others") {
    RecordedMachine machine;
    four_cpus(machine);
    machine.file("proc/self/cgroup", "4:memory:/pod\n0::/pod\n")
        .file("proc/self/mountinfo", mount("/", "/sys/fs/cgroup/memory", "cgroup", "rw,memory") +
                                         mount("/", "/sys/fs/cgroup/unified", "cgroup2"))
        .file("sys/fs/cgroup/unified/pod/cpu.max", "150000 100000\n")
        .file("sys/fs/cgroup/unified/pod/cpu.stat", "usage_usec 1000000\n");
    v1_limits(machine, "/pod");
    std::filesystem::remove_all(machine.root() / "sys/fs/cgroup/cpu,cpuacct");
    check_limits(machine, "sys/fs/cgroup/unified/pod/cpu.stat", "usage_usec 4000000\n");
}

TEST_CASE("a later mount hides an earlier one on the same point") {
    RecordedMachine machine;
    four_cpus(machine);
    machine.file("proc/self/cgroup", "0::/a\n")
        .file("proc/self/mountinfo",
              mount("/", "/sys/fs/cgroup", "cgroup2") + mount("/a", "/sys/fs/cgroup", "cgroup2"))
        .file("sys/fs/cgroup/cpu.max", "100000 100000\n")
        .file("sys/fs/cgroup/a/cpu.max", "200000 100000\n");
    CHECK(Cgroup(FileTree(machine.root())).cpu_quota()->group == "/a");
    machine.file("proc/self/mountinfo",
                 mount("/", "/sys/fs/cgroup", "cgroup2") + mount("/", "/sys/fs/cgroup", "tmpfs"));
    CHECK_FALSE(Cgroup(FileTree(machine.root())).cpu_quota().has_value());
}

TEST_CASE("limits that change while we run") {
    RecordedMachine machine;
    four_cpus(machine);
    machine.file("proc/self/cgroup", "0::/\n")
        .file("proc/self/mountinfo", mount("/", "/sys/fs/cgroup", "cgroup2"))
        .file("sys/fs/cgroup/cpu.stat", "usage_usec 1000000\n");
    Machine subject(machine.root());
    const auto start = Clock::now() + 1s;
    subject.vitals(start);
    machine.file("sys/fs/cgroup/cpu.max", "50000 100000\n");
    CHECK(subject.facts().cpu_cores == 1);
    // Ticks of CPUs and time of a group cannot be compared: one interval is not known.
    CHECK_FALSE(subject.vitals(start + 5s).cpu_percent.has_value());
    machine.file("sys/fs/cgroup/cpu.stat", "usage_usec 2250000\n");
    CHECK(subject.vitals(start + 10s).cpu_percent.value_or(-1) == Approx(50));
    machine.file("sys/fs/cgroup/cpu.stat", "usage_usec 9000000\n");  // a burst above the quota
    CHECK(subject.vitals(start + 15s).cpu_percent == 100.0);
    machine.file("sys/fs/cgroup/cpu.stat", "usage_usec 1\n");
    CHECK(subject.vitals(start + 20s).cpu_percent == 0.0);
}

TEST_CASE("limits above what the machine has do not bind") {
    RecordedMachine machine;
    four_cpus(machine);
    machine.file("proc/self/cgroup", "0::/\n")
        .file("proc/self/mountinfo", mount("/", "/sys/fs/cgroup", "cgroup2"))
        .file("sys/fs/cgroup/cpu.max", "800000 100000\n")
        .file("sys/fs/cgroup/cpu.stat", "usage_usec 0\n")
        .file("sys/fs/cgroup/memory.max", std::to_string(8192 * mib))
        .file("sys/fs/cgroup/memory.current", std::to_string(8191 * mib));
    Machine subject(machine.root());
    CHECK(subject.facts().cpu_cores == 4);
    CHECK(subject.facts().ram_bytes == 4096 * mib);
    machine.cpu_ticks({{100, 0}, {0, 100}, {0, 100}, {0, 100}});
    const auto vitals = subject.vitals(Clock::now() + 5s);
    CHECK(vitals.cpu_percent == 25.0);
    CHECK(vitals.ram_available_bytes == 3072 * mib);
}

TEST_CASE("used memory above the limit leaves nothing") {
    RecordedMachine machine;
    four_cpus(machine);
    machine.file("proc/self/cgroup", "0::/\n")
        .file("proc/self/mountinfo", mount("/", "/sys/fs/cgroup", "cgroup2"))
        .file("sys/fs/cgroup/memory.max", std::to_string(100 * mib))
        .file("sys/fs/cgroup/memory.current", std::to_string(101 * mib))
        .file("sys/fs/cgroup/memory.stat", "inactive_file -4\n");
    Machine subject(machine.root());
    CHECK(subject.vitals(Clock::now()).ram_available_bytes == 0);
    machine.file("sys/fs/cgroup/memory.stat", "inactive_file 999999999999\n");
    CHECK(subject.vitals(Clock::now()).ram_available_bytes == 100 * mib);
}
