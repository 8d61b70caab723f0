#pragma once

#include <string>

#include "test/unit/recorded_machine.hpp"

/// Machines as they show themselves in /proc and /sys, cut to what is read.
namespace rpic::test {

using namespace std::string_literals;

/// Cores of /proc/cpuinfo on ARM, all alike.
inline std::string arm_cpuinfo(int cores, const std::string& part) {
    std::string text;
    for (int core = 0; core < cores; ++core)
        text += "processor\t: " + std::to_string(core) +
                "\nBogoMIPS\t: 38.40\nFeatures\t: fp asimd evtstrm crc32 cpuid\n"
                "CPU implementer\t: 0x41\nCPU architecture: 8\nCPU variant\t: 0x0\nCPU part\t: " +
                part + "\nCPU revision\t: 4\n\n";
    return text;
}

/// The default route and the counters of one interface.
inline void record_network(RecordedMachine& machine, const std::string& name,
                           const std::string& operstate = "up") {
    const auto row = [](const std::string& name, const std::string& counts) {
        return std::string(name.size() < 6 ? 6 - name.size() : 0, ' ') + name + ": " + counts;
    };
    machine
        .file("proc/net/route",
              "Iface\tDestination\tGateway "
              "\tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n" +
                  name + "\t00000000\t0101A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n" + name +
                  "\t0001A8C0\t00000000\t0001\t0\t0\t100\t00FFFFFF\t0\t0\t0\n")
        .file("proc/net/dev",
              "Inter-|   Receive                                                |  Transmit\n"
              " face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets "
              "errs drop fifo colls carrier compressed\n" +
                  row("lo", "9 1 0 0 0 0 0 0 9 1 0 0 0 0 0 0\n") +
                  row(name, "48213377 51234 3 17 0 0 0 120 9127712 40122 2 0 0 0 0 0\n"))
        .file("sys/class/net/lo/operstate", "unknown\n")
        .file("sys/class/net/" + name + "/operstate", operstate + "\n");
}

/// What boards of Raspberry Pi OS have in common: a card with ext4, and no PSI.
inline void record_card(RecordedMachine& machine, const std::string& errors = "0") {
    machine
        .file("proc/self/mountinfo",
              "23 1 179:2 / / rw,noatime shared:1 - ext4 /dev/root rw\n"
              "24 23 0:6 / /dev rw,relatime shared:2 - devtmpfs devtmpfs rw,size=1k\n"
              "40 23 179:1 / /boot/firmware rw,relatime shared:9 - vfat /dev/mmcblk0p1 rw\n")
        .file("sys/fs/ext4/features/batched_discard", "supported\n")
        .file("sys/fs/ext4/mmcblk0p2/errors_count", errors + "\n");
}

inline void record_frequency(RecordedMachine& machine, const std::string& policy,
                             const std::string& max, const std::string& limit) {
    const auto folder = "sys/devices/system/cpu/cpufreq/" + policy;
    machine.file(folder + "/cpuinfo_max_freq", max + "\n")
        .file(folder + "/scaling_max_freq", limit + "\n");
}

inline void record_pi(RecordedMachine& machine, const std::string& model, const std::string& serial,
                      const std::string& part) {
    machine
        .file("proc/cpuinfo", arm_cpuinfo(4, part) + "Revision\t: c03114\nSerial\t\t: " + serial +
                                  "\nModel\t\t: " + model + "\n")
        .file("proc/device-tree/model", model + "\0"s)
        .file("sys/firmware/devicetree/base/serial-number", serial + "\0"s)
        .file("sys/devices/system/cpu/online", "0-3\n")
        .file("proc/loadavg", "0.42 0.20 0.11 1/180 1234\n")
        .cpu_ticks({{100, 100}, {100, 100}, {100, 100}, {100, 100}})
        .file("sys/class/thermal/thermal_zone0/type", "cpu-thermal\n");
    record_card(machine);
}

inline void record_pi_zero_2_w(RecordedMachine& machine) {
    record_pi(machine, "Raspberry Pi Zero 2 W Rev 1.0", "00000000c5a9f3e1", "0xd03");
    machine.memory(425'420, 268'132).file("sys/class/thermal/thermal_zone0/temp", "42932\n");
    record_frequency(machine, "policy0", "1000000", "1000000");
    record_network(machine, "wlan0");
    machine.file("sys/class/net/wlan0/speed", "");  // reading it is an error
    machine.file("sys/class/hwmon/hwmon0/name", "cpu_thermal\n")
        .file("sys/class/hwmon/hwmon1/name", "rpi_volt\n")
        .file("sys/class/hwmon/hwmon1/in0_lcrit_alarm", "0\n");
}

/// With an old kernel, which has no rpi_volt, and whose first zone is not the CPU's.
inline void record_pi_3(RecordedMachine& machine) {
    record_pi(machine, "Raspberry Pi 3 Model B Rev 1.2", "00000000f0e1d2c3", "0xd03");
    machine.memory(948'304, 700'000)
        .file("sys/class/thermal/thermal_zone0/type", "gpu-thermal\n")
        .file("sys/class/thermal/thermal_zone0/temp", "90000\n")
        .file("sys/class/thermal/thermal_zone1/type", "cpu-thermal\n")
        .file("sys/class/thermal/thermal_zone1/temp", "60148\n")
        .file("sys/devices/platform/soc/soc:firmware/get_throttled", "50005\n");
    record_frequency(machine, "policy0", "1200000", "600000");
    record_network(machine, "eth0");
    machine.file("sys/class/net/eth0/speed", "100\n");
}

inline void record_pi_4(RecordedMachine& machine) {
    record_pi(machine, "Raspberry Pi 4 Model B Rev 1.4", "10000000a1b2c3d4", "0xd08");
    machine.memory(3'884'632, 3'500'000)
        .file("sys/class/thermal/thermal_zone0/temp", "48312\n")
        .file("sys/class/hwmon/hwmon0/name", "cpu_thermal\n")
        .file("sys/class/hwmon/hwmon1/name", "rpi_volt\n")
        .file("sys/class/hwmon/hwmon1/in0_lcrit_alarm", "1\n");
    record_frequency(machine, "policy0", "1800000", "1800000");
    record_network(machine, "eth0");
    machine.file("sys/class/net/eth0/speed", "1000\n");
}

/// With an NVMe disk, and hwmon devices of fan and power chip before the others.
inline void record_pi_5(RecordedMachine& machine) {
    record_pi(machine, "Raspberry Pi 5 Model B Rev 1.0", "3a4b5c6d7e8f9012", "0xd0b");
    machine.memory(8'245'744, 7'600'000)
        .file("sys/class/thermal/thermal_zone0/temp", "51550\n")
        .file("sys/class/hwmon/hwmon0/name", "pwmfan\n")
        .file("sys/class/hwmon/hwmon1/name", "rp1_adc\n")
        .file("sys/class/hwmon/hwmon1/temp1_input", "48000\n")
        .file("sys/class/hwmon/hwmon2/name", "cpu_thermal\n")
        .file("sys/class/hwmon/hwmon3/name", "rpi_volt\n")
        .file("sys/class/hwmon/hwmon3/in0_lcrit_alarm", "0\n")
        .file("sys/fs/ext4/nvme0n1p2/errors_count", "0\n");
    record_frequency(machine, "policy0", "2400000", "2400000");
    record_network(machine, "eth0");
    machine.file("sys/class/net/eth0/speed", "1000\n");
}

inline void record_pc(RecordedMachine& machine) {
    machine
        .file("proc/cpuinfo",
              "processor\t: 0\nvendor_id\t: GenuineIntel\n"
              "model name\t: Intel(R) Core(TM)  i5-8250U CPU @ 1.60GHz\n\n")
        .file("sys/devices/system/cpu/online", "0-7\n")
        .file("sys/class/dmi/id/sys_vendor", "Dell Inc.\n")
        .file("sys/class/dmi/id/product_name", "XPS 13 9370\n")
        .file("sys/class/dmi/id/product_serial", "7XQ2HN2\n")
        .file("sys/class/dmi/id/product_uuid", "4C4C4544-0042-3510-8054-B4C04F384E32\n")
        .memory(16'247'124, 9'000'000)
        .file("proc/loadavg", "1.15 0.80 0.61 2/1180 9876\n")
        .cpu_ticks({{100, 100}, {100, 100}})
        .file("proc/pressure/cpu", "some avg10=1.53 avg60=0.87 avg300=0.22 total=58761459\n")
        .file("proc/pressure/memory",
              "some avg10=0.00 avg60=0.00 avg300=0.00 total=0\n"
              "full avg10=7.00 avg60=0.00 avg300=0.00 total=0\n")
        .file("proc/pressure/io", "some avg10=12.25 avg60=1.00 avg300=0.30 total=123\n")
        .file("proc/self/mountinfo",
              "29 1 259:2 / / ro,relatime shared:1 - btrfs /dev/nvme0n1p2 rw,ssd,space_cache\n"
              "95 29 259:3 / /home rw,relatime shared:40 - ext4 /dev/nvme0n1p3 ro,errors=ro\n")
        .file("sys/fs/ext4/nvme0n1p3/errors_count", "2\n")
        .file("sys/class/thermal/thermal_zone0/type", "acpitz\n")
        .file("sys/class/thermal/thermal_zone0/temp", "27800\n")
        .file("sys/class/hwmon/hwmon4/name", "coretemp\n")
        .file("sys/class/hwmon/hwmon4/temp1_input", "61000\n");
    record_frequency(machine, "policy0", "3400000", "3400000");
    record_frequency(machine, "policy1", "3400000", "1600000");
    record_network(machine, "enp3s0");
    machine.file("sys/class/net/enp3s0/speed", "1000\n");
}

inline void record_vm(RecordedMachine& machine) {
    machine.file("proc/cpuinfo", "processor\t: 0\nmodel name\t: QEMU Virtual CPU version 2.5+\n")
        .file("sys/devices/system/cpu/online", "0-1\n")
        .file("sys/class/dmi/id/sys_vendor", "QEMU\n")
        .file("sys/class/dmi/id/product_name", "Standard PC (i440FX + PIIX, 1996)\n")
        .file("sys/class/dmi/id/product_serial", "Not Specified\n")
        .memory(2'030'180, 1'500'000)
        .file("proc/self/mountinfo", "23 1 254:1 / / rw - xfs /dev/vda1 rw,attr2\n");
    record_network(machine, "ens3");
    machine.file("sys/class/net/ens3/speed", "-1\n");
}

/// What all containers see: the kernel's files of the host, and a root that is no disk.
inline void record_container(RecordedMachine& machine, const std::string& mounts,
                             const std::string& groups) {
    record_pc(machine);
    machine
        .file("proc/self/mountinfo",
              "612 590 0:55 / / ro,relatime - overlay overlay ro,lowerdir=/a\n" + mounts)
        .file("proc/self/cgroup", groups);
    record_network(machine, "eth0");
    machine.file("sys/class/net/eth0/speed", "10000\n");
}

inline void record_container_v1(RecordedMachine& machine) {
    record_container(machine,
                     "620 612 0:32 /docker/c0 /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n"
                     "621 612 0:33 /docker/c0 /sys/fs/cgroup/cpu ro - cgroup cgroup "
                     "rw,cpu,cpuacct\n",
                     "4:memory:/docker/c0\n3:cpu,cpuacct:/docker/c0\n");
    machine.file("sys/fs/cgroup/memory/memory.limit_in_bytes", "536870912\n")
        .file("sys/fs/cgroup/memory/memory.usage_in_bytes", "136870912\n")
        .file("sys/fs/cgroup/memory/memory.stat", "cache 5\ntotal_inactive_file 36870912\n")
        .file("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "150000\n")
        .file("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
}

inline void record_container_v2(RecordedMachine& machine) {
    record_container(machine, "630 612 0:27 / /sys/fs/cgroup ro - cgroup2 cgroup rw,nsdelegate\n",
                     "0::/\n");
    machine.file("sys/fs/cgroup/memory.max", "536870912\n")
        .file("sys/fs/cgroup/memory.current", "136870912\n")
        .file("sys/fs/cgroup/memory.stat", "anon 5\ninactive_file 36870912\n")
        .file("sys/fs/cgroup/cpu.max", "150000 100000\n");
}

/// The controllers in v1, beside a v2 hierarchy without any.
inline void record_container_hybrid(RecordedMachine& machine) {
    record_container_v1(machine);
    record_container(machine,
                     "620 612 0:32 /docker/c0 /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n"
                     "621 612 0:33 /docker/c0 /sys/fs/cgroup/cpu ro - cgroup cgroup "
                     "rw,cpu,cpuacct\n"
                     "622 612 0:27 /docker/c0 /sys/fs/cgroup/unified ro - cgroup2 cgroup rw\n",
                     "4:memory:/docker/c0\n3:cpu,cpuacct:/docker/c0\n0::/docker/c0\n");
    machine.file("sys/fs/cgroup/unified/cgroup.controllers", "\n");
}

}  // namespace rpic::test
