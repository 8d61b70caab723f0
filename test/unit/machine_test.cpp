#include "common/machine/machine.hpp"

#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <iterator>

#include "common/limits.hpp"
#include "test/unit/recorded_machine.hpp"

using namespace rpic;
using namespace std::chrono_literals;
using rpic::test::RecordedMachine;

namespace {

constexpr std::int64_t kib = 1024;
using namespace std::string_literals;

std::string repeat(const std::string& text, int times) {
    std::string all;
    for (int count = 0; count < times; ++count) all += text;
    return all;
}

/// One core of /proc/cpuinfo on ARM.
std::string arm_core(const std::string& part, const std::string& model_name = {}) {
    return "processor\t: 0\n" + (model_name.empty() ? "" : "model name\t: " + model_name + "\n") +
           "BogoMIPS\t: 108.00\nFeatures\t: fp asimd evtstrm crc32 cpuid\nCPU implementer\t: 0x41\n"
           "CPU architecture: 8\nCPU variant\t: 0x0\nCPU part\t: " +
           part + "\nCPU revision\t: 3\n\n";
}

}  // namespace

TEST_CASE("a Raspberry Pi 4 with a 64-bit kernel") {
    RecordedMachine pi;
    pi.file("proc/cpuinfo", repeat(arm_core("0xd08"), 4) +
                                "Revision\t: c03114\nSerial\t\t: 10000000A1B2C3D4\n"
                                "Model\t\t: Raspberry Pi 4 Model B Rev 1.4\n")
        .file("proc/device-tree/model", "Raspberry Pi 4 Model B Rev 1.4\0"s)
        .file("sys/firmware/devicetree/base/serial-number", "10000000a1b2c3d4\0"s)
        .file("sys/devices/system/cpu/online", "0-3\n")
        .memory(3'884'632, 3'500'000)
        .cpu_ticks({{100, 100}, {100, 100}, {100, 100}, {100, 100}})
        .file("proc/loadavg", "0.42 0.20 0.11 1/180 1234\n")
        .file("proc/sys/kernel/random/boot_id", "7a1c1f0e-3a55-4a49-9f0e-0d8f3b1f2c33\n")
        .file("etc/os-release", "ID=debian\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n")
        .file("sys/class/thermal/thermal_zone0/type", "cpu-thermal\n")
        .file("sys/class/thermal/thermal_zone0/temp", "48312\n")
        .file("sys/class/hwmon/hwmon0/name", "cpu_thermal\n")
        .file("sys/class/hwmon/hwmon0/temp1_input", "51000\n")
        .file("sys/class/hwmon/hwmon1/name", "rpi_volt\n")
        .file("sys/class/hwmon/hwmon1/in0_lcrit_alarm", "1\n")
        .network("eth0", "dc:a6:32:01:02:03");
    Machine machine(pi.root());

    const auto facts = machine.facts();
    CHECK(facts.cpu == "Cortex-A72 (Raspberry Pi 4 Model B Rev 1.4)");
    CHECK(facts.cpu_cores == 4);
    CHECK(facts.ram_bytes == 3'884'632 * kib);
    CHECK(facts.os == "Debian GNU/Linux 12 (bookworm)");
    CHECK(machine.fingerprint() == "serial:10000000a1b2c3d4");
    CHECK(machine.boot_id() == "7a1c1f0e-3a55-4a49-9f0e-0d8f3b1f2c33");

    const auto start = Clock::now() + 1s;
    auto vitals = machine.vitals(start);
    CHECK(vitals.ram_available_bytes == 3'500'000 * kib);
    CHECK(vitals.load_1m == 0.42);
    CHECK(vitals.temperature_c == 48.312);
    CHECK(vitals.undervoltage == true);
    CHECK_FALSE(vitals.throttled.has_value());

    pi.file("sys/class/hwmon/hwmon1/in0_lcrit_alarm", "0\n");
    CHECK(machine.vitals(start + 5s).undervoltage == false);
    pi.file("sys/class/hwmon/hwmon1/in0_lcrit_alarm", "7\n");
    CHECK_FALSE(machine.vitals(start + 10s).undervoltage.has_value());
}

TEST_CASE("a Raspberry Pi 3 with a 32-bit kernel") {
    RecordedMachine pi;
    pi.file("proc/cpuinfo", repeat(arm_core("0xd03", "ARMv7 Processor rev 4 (v7l)"), 4) +
                                "Hardware\t: BCM2835\nRevision\t: a02082\n"
                                "Serial\t\t: 00000000f0e1d2c3\n"
                                "Model\t\t: Raspberry Pi 3 Model B Rev 1.2\n")
        .file("proc/stat", "cpu  9 0 0 9\ncpu0 9 0 0 9\ncpu1 9 0 0 9\ncpu2 9 0 0 9\ncpu3 9 0 0 9\n")
        .file("proc/meminfo",
              "MemTotal: 948304 kB\nMemFree: 1000 kB\nBuffers: 200 kB\nCached: 30 kB\n"
              "SwapCached: 7 kB\n")
        .file("sys/class/thermal/thermal_zone0/type", "gpu-thermal\n")
        .file("sys/class/thermal/thermal_zone0/temp", "70000\n")
        .file("sys/class/thermal/thermal_zone1/type", "cpu_thermal\n")
        .file("sys/class/thermal/thermal_zone1/temp", "40000\n");
    Machine machine(pi.root());
    const auto facts = machine.facts();
    CHECK(facts.cpu == "Cortex-A53 (Raspberry Pi 3 Model B Rev 1.2)");
    CHECK(facts.cpu_cores == 4);  // counted in /proc/stat: no /sys/devices here
    CHECK(machine.fingerprint() == "serial:00000000f0e1d2c3");
    const auto vitals = machine.vitals(Clock::now());
    CHECK(vitals.ram_available_bytes == 1230 * kib);
    CHECK(vitals.temperature_c == 40.0);  // by type, not zone 0
    CHECK_FALSE(vitals.undervoltage.has_value());
}

TEST_CASE("a Raspberry Pi Zero with an old kernel") {
    RecordedMachine pi;
    pi.file("proc/cpuinfo",
            "Processor\t: ARMv6-compatible processor rev 7 (v6l)\nBogoMIPS\t: 697.95\n"
            "Features\t: half thumb fastmult vfp edsp java tls\nCPU implementer\t: 0x41\n"
            "CPU architecture: 7\nCPU variant\t: 0x0\nCPU part\t: 0xb76\nCPU revision\t: 7\n\n"
            "Hardware\t: BCM2708\nRevision\t: 900093\nSerial\t\t: 0000000000000000\n")
        .file("sys/devices/system/cpu/online", "0\n")
        .memory(443'080, 300'000)
        .network("wlan0", "b8:27:eb:0a:0b:0c");
    Machine machine(pi.root());
    CHECK(machine.facts().cpu == "ARM1176 (BCM2708)");
    CHECK(machine.facts().cpu_cores == 1);
    CHECK(machine.fingerprint() == "mac:b8:27:eb:0a:0b:0c");  // a serial of zeros is none
}

TEST_CASE("names of ARM processors") {
    RecordedMachine board;
    board.file("proc/cpuinfo", repeat(arm_core("0xd03"), 4) + repeat(arm_core("0xd08"), 2));
    CHECK(Machine(board.root()).facts().cpu == "Cortex-A53 + Cortex-A72");
    board.file("proc/device-tree/model", "Pine64\nRockPro64\0junk"s);
    CHECK(Machine(board.root()).facts().cpu == "Cortex-A53 + Cortex-A72 (Pine64 RockPro64)");
    board.file("proc/cpuinfo", arm_core("0xeee")).file("proc/device-tree/model", "");
    CHECK(Machine(board.root()).facts().cpu == "ARM part 0x41/0xeee");
    board.file("proc/cpuinfo", arm_core("0xc07") + "Hardware\t: Generic DT based system\n");
    CHECK(Machine(board.root()).facts().cpu == "Cortex-A7");
    board.file("proc/cpuinfo", "BogoMIPS : 1.0\nHardware : Some Board\n");
    CHECK(Machine(board.root()).facts().cpu == "Some Board");
}

TEST_CASE("a PC") {
    RecordedMachine pc;
    pc.file("proc/cpuinfo", repeat("processor\t: 0\nvendor_id\t: GenuineIntel\nmodel\t\t: 142\n"
                                   "model name\t: Intel(R) Core(TM)  i5-8250U CPU @ 1.60GHz\n\n",
                                   8))
        .file("sys/devices/system/cpu/online", "0-7\n")
        .file("sys/class/dmi/id/product_uuid", "4C4C4544-0042-3510-8054-B4C04F384E32\n")
        .file("sys/class/thermal/thermal_zone0/type", "acpitz\n")
        .file("sys/class/thermal/thermal_zone0/temp", "27800\n")
        .file("sys/class/thermal/thermal_zone1/type", "x86_pkg_temp\n")
        .file("sys/class/thermal/thermal_zone1/temp", "-274000\n")
        .file("sys/class/hwmon/hwmon4/name", "coretemp\n")
        .file("sys/class/hwmon/hwmon4/temp2_input", "61000\n")
        .network("enp3s0", "54:e1:ad:00:00:01");
    Machine machine(pc.root());
    CHECK(machine.facts().cpu == "Intel(R) Core(TM) i5-8250U CPU @ 1.60GHz");
    CHECK(machine.facts().cpu_cores == 8);
    CHECK(machine.fingerprint() == "dmi:4c4c4544-0042-3510-8054-b4c04f384e32");
    CHECK(machine.vitals(Clock::now()).temperature_c == 61.0);  // the zone's value is absurd
}

TEST_CASE("a virtual machine has no sensors and a made-up serial number") {
    RecordedMachine vm;
    vm.file("proc/cpuinfo", "processor\t: 0\nmodel name\t: QEMU Virtual CPU version 2.5+\n")
        .file("sys/devices/system/cpu/online", "0-1\n")
        .file("sys/class/dmi/id/product_uuid", "00000000-0000-0000-0000-000000000000\n")
        .network("lo", "00:00:00:00:00:00", "0", "772")
        .network("docker0", "02:42:00:00:00:01", "3")
        .network("veth1", "02:42:00:00:00:00", "1")
        .network("eth1", "52:54:00:AA:00:02")
        .network("eth0", "52:54:00:aa:00:03")
        .network("eth2", "00:00:00:00:00:00")
        .network("eth3", "not an address at")
        .network("wwan0", "02:00:00:00:00:01", "0", "65534");
    Machine machine(vm.root());
    CHECK(machine.fingerprint() == "mac:52:54:00:aa:00:02");
    const auto vitals = machine.vitals(Clock::now());
    CHECK_FALSE(vitals.temperature_c.has_value());
    CHECK_FALSE(vitals.undervoltage.has_value());
}

TEST_CASE("placeholders of firmware are no identity") {
    for (const auto* junk :
         {"To be filled by O.E.M.", "Default string", "ffffffff-ffff-ffff-ffff-ffffffffffff",
          "FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF", "0000000000000000", "Not Specified", "", "1",
          "System Serial Number",
          "a long text that somebody wrote into the place of the serial number of the board",
          "03000200-0400-0500-0006-000700080009", "\x01\x02\x03"}) {
        INFO(junk);
        RecordedMachine board;
        board.file("proc/device-tree/serial-number", junk)
            .file("sys/class/dmi/id/product_uuid", junk)
            .file("proc/cpuinfo", "Serial\t: "s + junk + "\n");
        CHECK(Machine(board.root()).fingerprint().empty());
    }
}

TEST_CASE("loads that are no loads") {
    RecordedMachine board;
    Machine machine(board.root());
    for (const auto* text : {"nan 0 0", "inf 0 0", "-1 0 0", "1e400 0 0", "x", "", "0.5x"})
        CHECK_FALSE((board.file("proc/loadavg", text), machine.vitals(Clock::now()).load_1m));
}

TEST_CASE("sensors that come late are found, those that go are null") {
    RecordedMachine board;
    board.directory("sys/class/thermal");
    Machine machine(board.root());
    const auto start = Clock::now();
    CHECK_FALSE(machine.vitals(start).temperature_c.has_value());
    board.file("sys/class/thermal/thermal_zone3/type", "soc_thermal\n")
        .file("sys/class/thermal/thermal_zone3/temp", "33000\n");
    CHECK_FALSE(machine.vitals(start + limits::sensor_search_interval - 1s).temperature_c);
    CHECK(machine.vitals(start + limits::sensor_search_interval).temperature_c == 33.0);
    std::filesystem::remove_all(board.root() / "sys/class/thermal/thermal_zone3");
    CHECK_FALSE(machine.vitals(start + 62s).temperature_c.has_value());
}

TEST_CASE("the machine that runs this test") {
    const auto open_files = [] {
        return std::distance(std::filesystem::directory_iterator("/proc/self/fd"),
                             std::filesystem::directory_iterator());
    };
    const auto before = open_files();
    Machine machine;
    const auto facts = machine.facts();
    utsname kernel{};
    REQUIRE(uname(&kernel) == 0);
    CHECK_FALSE(facts.hostname.empty());
    CHECK(facts.kernel_arch == kernel.machine);
    CHECK(facts.kernel == kernel.release);
    CHECK_FALSE(facts.arch.empty());
    CHECK(facts.cpu_cores >= 1);
    CHECK(facts.cpu_cores <= std::max(1L, sysconf(_SC_NPROCESSORS_ONLN)));
    CHECK(facts.ram_bytes > 1024 * kib);
    // An emulator tells a 32-bit program only the low half of how much memory there is.
    const bool whole = sizeof(long) == sizeof(std::int64_t);
    if (whole)
        CHECK(facts.ram_bytes <= std::int64_t{sysconf(_SC_PHYS_PAGES)} * sysconf(_SC_PAGESIZE));
    CHECK(machine.boot_id().size() == 36);
    CHECK(machine.boot_id() == Machine().boot_id());
    CHECK(machine.fingerprint() == Machine().fingerprint());

    // This loop alone keeps a core busy, so that the machine cannot stay at zero percent.
    const auto deadline = Clock::now() + 10s;
    auto vitals = machine.vitals(Clock::now());
    while (vitals.cpu_percent.value_or(0) <= 0 && Clock::now() < deadline) {
        for (const auto pause = Clock::now() + 20ms; Clock::now() < pause;) continue;
        vitals = machine.vitals(Clock::now());
    }
    CHECK(vitals.cpu_percent.value_or(0) > 0);
    CHECK(vitals.cpu_percent.value_or(0) <= 100);
    CHECK(vitals.ram_available_bytes.value_or(0) > 0);
    CHECK(vitals.ram_available_bytes.value_or(0) <= facts.ram_bytes);
    CHECK(vitals.load_1m.has_value());
    CHECK(open_files() == before);
}
