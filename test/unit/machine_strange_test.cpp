#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <cmath>
#include <iterator>
#include <random>

#include "common/limits.hpp"
#include "common/machine/kernel_text.hpp"
#include "common/machine/machine.hpp"
#include "test/unit/recorded_machine.hpp"

using namespace rpic;
using namespace std::chrono_literals;
using namespace std::string_literals;
using rpic::test::RecordedMachine;

namespace {

/// Every text that a machine tells.
std::vector<std::string> texts(const Machine& machine) {
    const auto facts = machine.facts();
    return {
        facts.hostname,        facts.arch,   facts.kernel_arch, facts.cpu,    facts.os,
        machine.fingerprint(), facts.kernel, facts.board,       facts.serial, machine.boot_id()};
}

void check_sane(const Machine& machine, const Vitals& vitals) {
    for (const auto& text : texts(machine)) {
        CHECK(text == printable(text, text.size()));
        CHECK(text.size() <= limits::text_chars);
    }
    const auto facts = machine.facts();
    CHECK(facts.cpu_cores >= 1);
    CHECK(facts.cpu_cores <= static_cast<std::int64_t>(limits::machine_cpus));
    CHECK(facts.ram_bytes >= 0);
    if (vitals.cpu_percent) CHECK((*vitals.cpu_percent >= 0 && *vitals.cpu_percent <= 100));
    if (vitals.ram_available_bytes) CHECK(*vitals.ram_available_bytes >= 0);
    if (vitals.load_1m) CHECK((*vitals.load_1m >= 0 && std::isfinite(*vitals.load_1m)));
    if (vitals.temperature_c) CHECK((*vitals.temperature_c >= -40 && *vitals.temperature_c <= 150));
    for (const auto& count :
         {vitals.cpu_mhz_max, vitals.cpu_mhz_limit, vitals.disk_errors, vitals.network_mbps,
          vitals.network_received_bytes, vitals.network_sent_bytes, vitals.network_errors})
        if (count) CHECK(*count >= 0);
    for (const auto& percent : {vitals.pressure_cpu, vitals.pressure_memory, vitals.pressure_io})
        if (percent) CHECK((*percent >= 0 && *percent <= 100));
    CHECK(vitals.network == printable(vitals.network, vitals.network.size()));
    CHECK(vitals.network.size() <= limits::text_chars);
}

}  // namespace

TEST_CASE("a machine of which nothing can be read") {
    RecordedMachine nothing;
    for (const auto& root : {nothing.root(), nothing.root() / "missing"}) {
        Machine machine(root);
        const auto vitals = machine.vitals(Clock::now() + 1s);
        CHECK_FALSE(vitals.cpu_percent.has_value());
        CHECK_FALSE(vitals.ram_available_bytes.has_value());
        CHECK_FALSE(vitals.load_1m.has_value());
        CHECK_FALSE(vitals.temperature_c.has_value());
        const auto facts = machine.facts();
        CHECK(facts.cpu.empty());
        CHECK(facts.os.empty());
        CHECK(facts.cpu_cores == 1);
        CHECK(facts.ram_bytes == 0);
        CHECK(machine.fingerprint().empty());
        CHECK(machine.boot_id().empty());
    }
}

namespace {

const char* const every_file[] = {
    "proc/cpuinfo",
    "proc/stat",
    "proc/meminfo",
    "proc/loadavg",
    "proc/self/cgroup",
    "proc/self/mountinfo",
    "proc/sys/kernel/random/boot_id",
    "proc/device-tree/model",
    "proc/device-tree/serial-number",
    "etc/os-release",
    "sys/devices/system/cpu/online",
    "sys/class/dmi/id/product_uuid",
    "sys/class/thermal/thermal_zone0/type",
    "sys/class/thermal/thermal_zone0/temp",
    "sys/class/hwmon/hwmon0/name",
    "sys/class/hwmon/hwmon0/temp1_input",
    "sys/class/hwmon/hwmon0/in0_lcrit_alarm",
    "sys/class/net/eth0/address",
    "sys/class/net/eth0/addr_assign_type",
    "sys/class/net/eth0/type",
    "sys/class/net/eth0/operstate",
    "sys/class/net/eth0/speed",
    "sys/class/dmi/id/sys_vendor",
    "sys/class/dmi/id/product_name",
    "sys/class/dmi/id/product_serial",
    "sys/devices/platform/soc/soc:firmware/get_throttled",
    "sys/devices/system/cpu/cpufreq/policy0/cpuinfo_max_freq",
    "sys/devices/system/cpu/cpufreq/policy0/scaling_max_freq",
    "sys/fs/ext4/sda1/errors_count",
    "proc/net/route",
    "proc/net/ipv6_route",
    "proc/net/dev",
    "proc/pressure/cpu",
    "proc/pressure/memory",
    "proc/pressure/io",
    "sys/fs/cgroup/cpu.max",
    "sys/fs/cgroup/cpu.stat",
    "sys/fs/cgroup/cpuset.cpus.effective",
    "sys/fs/cgroup/memory.max",
    "sys/fs/cgroup/memory.current",
    "sys/fs/cgroup/memory.stat",
};

/// Pieces that lead parsers astray: words of the real files, extreme numbers, broken UTF-8.
std::string garbage(std::mt19937& random) {
    static const std::string pieces[] = {"cpu",
                                         "cpu0",
                                         "cpu99999999999",
                                         " ",
                                         "\n",
                                         "\t:\t",
                                         "MemTotal:",
                                         "MemAvailable:",
                                         " kB\n",
                                         "18446744073709551615",
                                         "18446744073709551616",
                                         "9223372036854771712",
                                         "-1",
                                         "-9223372036",
                                         "0",
                                         "1",
                                         "max",
                                         "0-8191",
                                         ",",
                                         "-",
                                         "7-3",
                                         "nan",
                                         "inf",
                                         "1e400",
                                         "0x41",
                                         "CPU part : 0x",
                                         "CPU implementer : 0x41\n",
                                         "model name : ",
                                         "Serial : ",
                                         "PRETTY_NAME=\"\\",
                                         "'",
                                         "0::/",
                                         "1:cpu,memory:/a/../..",
                                         "/..",
                                         "\\040",
                                         "\\777",
                                         " - cgroup2 none rw\n",
                                         "22 1 0:1 / /sys/fs/cgroup rw - cgroup2 x rw\n",
                                         "usage_usec ",
                                         "\xF0\x9F\x98",
                                         "\xC0\x80",
                                         "\xED\xA0\x80",
                                         "\xE2\x80\xAE",
                                         "\x1B[2J",
                                         "\0"s,
                                         std::string(3000, 'x'),
                                         "0::/a/b\n"};
    std::string text;
    const auto count = random() % 60;
    for (unsigned piece = 0; piece < count; ++piece) {
        text += pieces[random() % std::size(pieces)];
        if (random() % 8 == 0) text += static_cast<char>(random());
    }
    if (random() % 20 == 0) {
        const auto piece = text;
        for (int times = 0; times < 50; ++times) text += piece;
    }
    return text;
}

}  // namespace

TEST_CASE("garbage in every file") {
    std::mt19937 random(20240607);
    RecordedMachine board;
    for (int round = 0; round < 150; ++round) {
        INFO("round " << round);
        for (const auto* file : every_file) board.file(file, garbage(random));
        if (round % 2 == 1)  // let control groups be found
            board.file("proc/self/cgroup", "0::/\n")
                .file("proc/self/mountinfo", "22 1 0:1 / /sys/fs/cgroup rw - cgroup2 x rw\n");
        Machine machine(board.root());
        const auto start = Clock::now() + 1s;
        machine.vitals(start);
        for (const auto* file : {"proc/stat", "sys/fs/cgroup/cpu.stat"})
            board.file(file, garbage(random));
        check_sane(machine, machine.vitals(start + 5s));
    }
}

TEST_CASE("pipes, directories, huge and endless files in the place of files") {
    RecordedMachine board;
    board.file("proc/cpuinfo", std::string(300'000, 'a'))
        .file("proc/meminfo", std::string(300'000, '\n') + "MemTotal: 5 kB\n")
        .directory("proc/stat")
        .directory("proc/sys/kernel/random")
        .directory("etc/os-release")
        .file("sys/class/thermal", "not a directory");
    REQUIRE(mkfifo((board.root() / "proc/sys/kernel/random/boot_id").c_str(), 0600) == 0);
    std::filesystem::create_symlink("/dev/zero", board.root() / "proc/loadavg");
    std::filesystem::create_symlink("loadavg2", board.root() / "proc/loadavg2");  // to itself
    CHECK(FileTree(board.root()).text("proc/cpuinfo").size() == limits::machine_file_bytes);
    CHECK(FileTree(board.root()).text("proc/loadavg").size() == limits::machine_file_bytes);
    CHECK(FileTree(board.root()).text("proc/loadavg2").empty());
    Machine machine(board.root());
    CHECK(machine.boot_id().empty());
    CHECK(machine.facts().ram_bytes == 0);
    check_sane(machine, machine.vitals(Clock::now() + 1s));
}
