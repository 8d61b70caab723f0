#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdio>

#include "common/limits.hpp"
#include "common/machine/machine.hpp"
#include "test/unit/recorded_boards.hpp"

using namespace rpic;
using namespace rpic::test;
using namespace std::chrono_literals;

namespace {

constexpr std::int64_t gib = std::int64_t{1} << 30;

/// A disk that is half full, a clock that is right, and no Raspberry Pi.
MachineCalls calls() {
    MachineCalls made;
    made.disk_space = [](const std::string&) { return DiskSpace{32 * gib, 16 * gib}; };
    made.clock_is_set = [] { return true; };
    return made;
}

MachineCalls calls_with_firmware(std::uint32_t bits) {
    auto made = calls();
    made.firmware_throttled = [bits] { return bits; };
    return made;
}

Vitals vitals_of(const RecordedMachine& recorded, MachineCalls with = calls()) {
    Machine machine(recorded.root(), std::move(with), "/var/lib/rpicluster/slave-worker");
    return machine.vitals(Clock::now() + 1s);
}

void check_network(const Vitals& vitals, const std::string& name,
                   std::optional<std::int64_t> mbps) {
    CHECK(vitals.network == name);
    CHECK(vitals.network_mbps == mbps);
    CHECK(vitals.network_received_bytes == 48'213'377);
    CHECK(vitals.network_sent_bytes == 9'127'712);
    CHECK(vitals.network_errors == 5);
}

void check_no_pressure(const Vitals& vitals) {
    CHECK_FALSE(vitals.pressure_cpu.has_value());
    CHECK_FALSE(vitals.pressure_memory.has_value());
    CHECK_FALSE(vitals.pressure_io.has_value());
}

}  // namespace

TEST_CASE("vitals of a Raspberry Pi Zero 2 W") {
    RecordedMachine pi;
    record_pi_zero_2_w(pi);
    const auto vitals = vitals_of(pi, calls_with_firmware(0));
    CHECK(vitals.temperature_c == 42.932);
    CHECK(vitals.undervoltage == false);
    CHECK(vitals.undervoltage_seen == false);
    CHECK(vitals.throttled == false);
    CHECK(vitals.frequency_capped == false);
    CHECK(vitals.cpu_mhz_max == 1000);
    CHECK(vitals.cpu_mhz_limit == 1000);
    CHECK(vitals.ram_available_bytes == 268'132 * 1024);
    CHECK(vitals.load_1m == 0.42);
    CHECK(vitals.disk_bytes == 32 * gib);
    CHECK(vitals.disk_free_bytes == 16 * gib);
    CHECK(vitals.disk_read_only == false);
    CHECK(vitals.disk_errors == 0);
    CHECK(vitals.clock_set == true);
    check_network(vitals, "wlan0", std::nullopt);
    check_no_pressure(vitals);
    const auto facts = Machine(pi.root()).facts();
    CHECK(facts.board == "Raspberry Pi Zero 2 W Rev 1.0");
    CHECK(facts.serial == "00000000c5a9f3e1");
    CHECK(facts.cpu == "Cortex-A53 (Raspberry Pi Zero 2 W Rev 1.0)");
}

TEST_CASE("vitals of a Raspberry Pi 3 whose firmware alone knows of its power") {
    RecordedMachine pi;
    record_pi_3(pi);
    // Under-voltage, capped and throttled now; and all of it since the boot.
    const auto vitals = vitals_of(pi, calls_with_firmware(0x70007));
    CHECK(vitals.temperature_c == 60.148);  // not zone 0
    CHECK(vitals.undervoltage == true);
    CHECK(vitals.undervoltage_seen == true);
    CHECK(vitals.throttled == true);
    CHECK(vitals.frequency_capped == true);
    CHECK(vitals.cpu_mhz_max == 1200);
    CHECK(vitals.cpu_mhz_limit == 600);
    check_network(vitals, "eth0", 100);
    check_no_pressure(vitals);
    CHECK(Machine(pi.root()).facts().board == "Raspberry Pi 3 Model B Rev 1.2");

    const auto recovered = vitals_of(pi, calls_with_firmware(0x50000));
    CHECK(recovered.undervoltage == false);
    CHECK(recovered.undervoltage_seen == true);
    CHECK(recovered.throttled == false);
    CHECK(recovered.frequency_capped == true);  // cpufreq says so
}

TEST_CASE("the old file of the firmware is read once, and only where nothing else tells") {
    RecordedMachine pi;
    record_pi_3(pi);
    const auto file = "sys/devices/platform/soc/soc:firmware/get_throttled";
    Machine machine(pi.root(), calls());
    const auto start = Clock::now() + 1s;
    const auto first = machine.vitals(start);
    CHECK(first.undervoltage == true);
    CHECK(first.throttled == true);
    pi.file(file, "0\n");
    const auto second = machine.vitals(start + 5s);
    CHECK_FALSE(second.undervoltage.has_value());  // what it said is of yesterday
    CHECK_FALSE(second.throttled.has_value());
    CHECK(second.undervoltage_seen == true);

    // A reader that never looked there does not know what the file says.
    pi.file(file, "50005\n");
    CHECK(vitals_of(pi, calls_with_firmware(0)).undervoltage == false);
    pi.file("sys/class/hwmon/hwmon1/name", "rpi_volt\n")
        .file("sys/class/hwmon/hwmon1/in0_lcrit_alarm", "0\n");
    const auto with_driver = vitals_of(pi);
    CHECK(with_driver.undervoltage == false);
    CHECK(with_driver.undervoltage_seen == false);
    CHECK_FALSE(with_driver.throttled.has_value());
}

TEST_CASE("the firmware is asked the right question") {
    const auto answer = [](std::uint32_t code, std::uint32_t value_code, std::uint32_t value) {
        return ask_throttled([=](FirmwareMessage& message) {
            CHECK(message == FirmwareMessage{32, 0, 0x00030046, 4, 0, 0, 0, 0});
            CHECK(reinterpret_cast<std::uintptr_t>(message.data()) % 16 == 0);
            message[1] = code;
            message[4] = value_code;
            message[5] = value;
            return true;
        });
    };
    CHECK(answer(0x80000000, 0x80000004, 0x50005) == 0x50005U);
    CHECK(answer(0x80000000, 0x80000004, 0) == 0U);
    CHECK_FALSE(answer(0x80000001, 0x80000004, 5).has_value());  // it could not parse that
    CHECK_FALSE(answer(0x80000000, 0, 5).has_value());           // it does not know the tag
    CHECK_FALSE(answer(0, 0, 5).has_value());
    CHECK_FALSE(ask_throttled([](FirmwareMessage&) { return false; }).has_value());
}

TEST_CASE("vitals of a Raspberry Pi 4 with a weak power supply") {
    RecordedMachine pi;
    record_pi_4(pi);
    Machine machine(pi.root(), calls_with_firmware(0x8));  // at its soft limit of temperature
    const auto start = Clock::now() + 1s;
    const auto vitals = machine.vitals(start);
    CHECK(vitals.undervoltage == true);  // the driver's word counts
    CHECK(vitals.undervoltage_seen == true);
    CHECK(vitals.throttled == true);
    CHECK(vitals.frequency_capped == false);
    CHECK(vitals.temperature_c == 48.312);
    check_network(vitals, "eth0", 1000);
    pi.file("sys/class/hwmon/hwmon1/in0_lcrit_alarm", "0\n");
    const auto later = machine.vitals(start + 5s);
    CHECK(later.undervoltage == false);
    CHECK(later.undervoltage_seen == true);
}

TEST_CASE("vitals of a Raspberry Pi 5") {
    RecordedMachine pi;
    record_pi_5(pi);
    const auto vitals = vitals_of(pi, calls_with_firmware(0));
    CHECK(vitals.temperature_c == 51.55);
    CHECK(vitals.undervoltage == false);
    CHECK(vitals.cpu_mhz_max == 2400);
    CHECK(vitals.frequency_capped == false);
    CHECK(vitals.disk_errors == 0);
    check_network(vitals, "eth0", 1000);
    const auto facts = Machine(pi.root()).facts();
    CHECK(facts.cpu == "Cortex-A76 (Raspberry Pi 5 Model B Rev 1.0)");
    CHECK(facts.board == "Raspberry Pi 5 Model B Rev 1.0");
}

TEST_CASE("vitals of a PC") {
    RecordedMachine pc;
    record_pc(pc);
    const auto vitals = vitals_of(pc);
    CHECK(vitals.temperature_c == 61.0);
    CHECK_FALSE(vitals.undervoltage.has_value());
    CHECK_FALSE(vitals.undervoltage_seen.has_value());
    CHECK_FALSE(vitals.throttled.has_value());
    CHECK(vitals.frequency_capped == true);  // of policy1
    CHECK(vitals.cpu_mhz_max == 3400);
    CHECK(vitals.pressure_cpu == 1.53);
    CHECK(vitals.pressure_memory == 0.0);
    CHECK(vitals.pressure_io == 12.25);
    CHECK(vitals.disk_errors == 2);
    check_network(vitals, "enp3s0", 1000);
    const auto facts = Machine(pc.root()).facts();
    CHECK(facts.board == "Dell Inc. XPS 13 9370");
    CHECK(facts.serial == "7XQ2HN2");
}

TEST_CASE("vitals of a virtual machine") {
    RecordedMachine vm;
    record_vm(vm);
    const auto vitals = vitals_of(vm, MachineCalls{});
    CHECK_FALSE(vitals.temperature_c.has_value());
    CHECK_FALSE(vitals.undervoltage.has_value());
    CHECK_FALSE(vitals.frequency_capped.has_value());
    CHECK_FALSE(vitals.cpu_mhz_max.has_value());
    CHECK_FALSE(vitals.disk_bytes.has_value());
    CHECK_FALSE(vitals.disk_errors.has_value());  // no ext4 here
    CHECK(vitals.disk_read_only == false);
    CHECK_FALSE(vitals.clock_set.has_value());
    check_network(vitals, "ens3", std::nullopt);
    const auto facts = Machine(vm.root()).facts();
    CHECK(facts.board == "QEMU Standard PC (i440FX + PIIX, 1996)");
    CHECK(facts.serial.empty());
}

TEST_CASE("vitals in containers") {
    for (const auto record : {record_container_v1, record_container_v2, record_container_hybrid}) {
        RecordedMachine container;
        record(container);
        const auto vitals = vitals_of(container);
        CHECK(vitals.ram_available_bytes == 436'870'912);
        CHECK_FALSE(vitals.disk_read_only.has_value());  // its root is meant to be so
        CHECK(vitals.disk_free_bytes == 16 * gib);
        CHECK(vitals.temperature_c == 61.0);  // the host's: the same silicon
        check_network(vitals, "eth0", 10'000);
        const auto facts = Machine(container.root()).facts();
        CHECK(facts.ram_bytes == 536'870'912);
        CHECK(facts.cpu_cores == 2);
    }
}

TEST_CASE("file systems that the kernel made read-only") {
    RecordedMachine pi;
    record_pi_4(pi);
    const auto read_only = [&](const std::string& mounts) {
        pi.file("proc/self/mountinfo", mounts);
        return vitals_of(pi).disk_read_only;
    };
    const auto root = "23 1 179:2 / / rw - ext4 /dev/root "s;
    CHECK(read_only(root + "rw\n") == false);
    CHECK(read_only(root + "ro,errors=remount-ro\n") == true);
    CHECK(read_only(root + "ro\n") == true);
    CHECK(read_only(root + "rodata\n") == false);
    // A service manager shows it read-only to us; the disk is well.
    CHECK(read_only("23 1 179:2 / / ro,relatime - ext4 /dev/root rw\n") == false);
    const auto rest = root + "rw\n24 23 8:1 / /var/lib rw - ext4 /dev/sda1 ";
    CHECK(read_only(rest + "ro\n") == true);  // the state is there
    CHECK(read_only(rest + "rw\n") == false);
    CHECK(read_only(root + "rw\n24 23 8:1 / /var/li rw - ext4 /dev/sda1 ro\n") == false);
    // A later mount hides the earlier one.
    CHECK(read_only(rest + "ro\n25 24 0:1 / /var/lib rw - tmpfs tmpfs rw\n") == false);
    CHECK(read_only("23 1 0:2 / / rw - squashfs /dev/loop0 ro\n") == std::nullopt);
    CHECK(read_only("") == std::nullopt);
    CHECK(read_only("23 1\n23 1 179:2 /\n") == std::nullopt);
}

TEST_CASE("disks and networks are looked at anew") {
    RecordedMachine pi;
    record_pi_4(pi);
    Machine machine(pi.root(), calls());
    const auto start = Clock::now() + 1s;
    CHECK(machine.vitals(start).disk_errors == 0);
    record_card(pi, "17");
    pi.file("sys/class/net/eth0/speed", "10\n");
    CHECK(machine.vitals(start + limits::disk_look_interval - 1s).disk_errors == 0);
    CHECK(machine.vitals(start + limits::disk_look_interval).disk_errors == 17);
    CHECK(machine.vitals(start + limits::network_look_interval - 1s).network_mbps == 1000);
    CHECK(machine.vitals(start + limits::network_look_interval).network_mbps == 10);
}

TEST_CASE("which network counts") {
    RecordedMachine board;
    const auto up = [&](const std::string& name, const std::string& state) {
        board.file("sys/class/net/" + name + "/operstate", state + "\n");
    };
    const auto header = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\n"s;
    up("lo", "unknown");
    up("eth0", "down");
    CHECK(vitals_of(board).network.empty());
    CHECK_FALSE(vitals_of(board).network_errors.has_value());
    up("eth1", "up");
    CHECK(vitals_of(board).network == "eth1");  // a network that leads nowhere else
    board.file("proc/net/ipv6_route",
               "00000000000000000000000000000000 00 00000000000000000000000000000000 00 "
               "00000000000000000000000000000000 ffffffff 00000001 00000000 00200200       lo\n"
               "00000000000000000000000000000000 00 00000000000000000000000000000000 00 "
               "fe800000000000000000000000000001 00000400 00000001 00000000 00450003    wlan0\n");
    CHECK(vitals_of(board).network == "wlan0");
    board.file("proc/net/route", header +
                                     "usb0\t00000000\t0101A8C0\t0003\t0\t0\t600\t00000000\n"
                                     "eth2\t00000000\t0101A8C0\t0003\t0\t0\t100\t00000000\n"
                                     "vpn0\t00000000\t0101A8C0\t0002\t0\t0\t1\t00000000\n"
                                     "vpn1\t00000000\t0101A8C0\t0003\t0\t0\t1\t00000080\n"
                                     "br0\t0001A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\n");
    CHECK(vitals_of(board).network == "eth2");
    for (const auto* speed : {"-1", "65535", "0", "", "fast", "4294967295"}) {
        board.file("sys/class/net/eth2/speed", speed);
        CHECK_FALSE(vitals_of(board).network_mbps.has_value());
    }
    board.file("sys/class/net/eth2/speed", "2500\n");
    CHECK(vitals_of(board).network_mbps == 2500);
}

TEST_CASE("what one look at the machine costs") {
    // As often as heartbeats ask, so that the looks that are rare are as rare as in life.
    Machine machine("/", real_machine_calls(), "/");
    constexpr int ticks = 240;
    std::vector<double> microseconds;
    auto now = Clock::now();
    for (int tick = 0; tick < ticks; ++tick, now += 5s) {
        const auto start = std::chrono::steady_clock::now();
        const auto vitals = machine.vitals(now);
        const auto end = std::chrono::steady_clock::now();
        CHECK(vitals.disk_bytes.value_or(0) > 0);
        microseconds.push_back(std::chrono::duration<double, std::micro>(end - start).count());
    }
    std::sort(microseconds.begin(), microseconds.end());
    std::printf("one look at the machine: %.0f us (median), %.0f us (95 of 100)\n",
                microseconds[ticks / 2], microseconds[ticks * 95 / 100]);
    CHECK(microseconds[ticks / 2] < 2000);  // 200 are wanted; this machine may be busy
}
