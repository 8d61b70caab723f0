#include "common/machine/machine.hpp"

#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string_view>
#include <utility>

#include "common/machine/board_id.hpp"
#include "common/machine/kernel_text.hpp"

namespace rpic {

namespace {

/// The architecture that this program was built for, in Debian's names: it says which other
/// programs run here, which the kernel's architecture does not (32-bit systems run on 64-bit
/// kernels).
std::string program_arch([[maybe_unused]] std::string_view kernel_arch) {
#if defined(__x86_64__)
    return "amd64";
#elif defined(__i386__)
    return "i386";
#elif defined(__aarch64__)
    return "arm64";
#elif defined(__arm__) && defined(__ARM_PCS_VFP)
    return "armhf";
#elif defined(__arm__)
    return "armel";
#else
    return std::string(kernel_arch);
#endif
}

std::string hostname() {
    char name[256] = {};  // HOST_NAME_MAX is 64, POSIX allows 255
    if (gethostname(name, sizeof name - 1) != 0) return {};
    return display_text(name);
}

/// A value of os-release(5): shell syntax, without variables.
std::string unquote(std::string_view value) {
    if (value.size() < 2 || (value.front() != '"' && value.front() != '\''))
        return display_text(value);
    const char quote = value.front();
    std::string plain;
    for (std::size_t at = 1; at < value.size() && value[at] != quote; ++at) {
        if (quote == '"' && value[at] == '\\' && at + 1 < value.size()) ++at;
        plain += value[at];
    }
    return display_text(plain);
}

std::string os_name(const FileTree& tree) {
    for (const auto* file : {"etc/os-release", "usr/lib/os-release"}) {
        const auto text = tree.text(file);
        auto name = unquote(value_of(text, "PRETTY_NAME", '='));
        if (!name.empty()) return name;
    }
    return {};
}

/// A line "KEY:  N kB" of /proc/meminfo, in bytes.
std::optional<std::int64_t> meminfo_bytes(std::string_view meminfo, std::string_view key) {
    auto value = value_of(meminfo, key, ':');
    const auto number = to_number<std::int64_t>(take_word(value));
    constexpr auto most = std::numeric_limits<std::int64_t>::max() / 4096;
    if (!number || *number < 0 || *number > most) return std::nullopt;
    return *number * 1024;
}

std::optional<std::int64_t> machine_available(std::string_view meminfo) {
    if (const auto available = meminfo_bytes(meminfo, "MemAvailable")) return available;
    // Linux before 3.14 leaves the sum to us.
    const auto free = meminfo_bytes(meminfo, "MemFree");
    if (!free) return std::nullopt;
    return *free + meminfo_bytes(meminfo, "Buffers").value_or(0) +
           meminfo_bytes(meminfo, "Cached").value_or(0);
}

std::optional<std::int64_t> ram_available(std::string_view meminfo, const Cgroup& cgroup) {
    const auto machine = machine_available(meminfo);
    const auto total = meminfo_bytes(meminfo, "MemTotal");
    const auto group = total ? cgroup.memory_available(*total) : std::nullopt;
    if (!machine) return group;
    return std::min(*machine, group.value_or(*machine));
}

std::int64_t ram_usable(const FileTree& tree, const Cgroup& cgroup) {
    const auto total = meminfo_bytes(tree.text("proc/meminfo"), "MemTotal");
    // Without the total a limit cannot be told from v1's huge number for "none".
    if (!total) return 0;
    return std::min(*total, cgroup.memory_limit().value_or(*total));
}

/// Swap is the machine's: a container has none of its own that could be told.
void read_swap(std::string_view meminfo, Vitals& vitals) {
    const auto total = meminfo_bytes(meminfo, "SwapTotal");
    const auto free = meminfo_bytes(meminfo, "SwapFree");
    vitals.swap_bytes = total;
    if (total && free) vitals.swap_used_bytes = std::max<std::int64_t>(*total - *free, 0);
}

std::optional<double> load_1m(const FileTree& tree) {
    const auto text = tree.text("proc/loadavg");
    std::string_view rest = text;
    const auto load = to_number<double>(take_word(rest));
    if (!load || !std::isfinite(*load) || *load < 0) return std::nullopt;
    return load;
}

/// How many percent of the last ten seconds some process waited for a resource: "pressure stall
/// information" (the kernel's Documentation/accounting/psi.rst), which Raspberry Pi OS leaves out.
std::optional<double> pressure(const FileTree& tree, const char* resource) {
    const auto text = tree.text(std::string("proc/pressure/") + resource);
    std::string_view rest = text;
    auto line = take_line(rest);  // "some avg10=1.53 avg60=..."
    if (take_word(line) != "some") return std::nullopt;
    auto value = take_word(line);
    constexpr std::string_view key = "avg10=";
    if (!value.starts_with(key)) return std::nullopt;
    const auto percent = to_number<double>(value.substr(key.size()));
    if (!percent || !(*percent >= 0 && *percent <= 100)) return std::nullopt;
    return percent;
}

}  // namespace

Machine::Machine(const std::filesystem::path& root)
    : Machine(root, root == "/" ? real_machine_calls() : MachineCalls{}) {}

Machine::Machine(const std::filesystem::path& root, MachineCalls calls,
                 const std::filesystem::path& folder)
    : tree_(root), cgroup_(tree_), calls_(std::move(calls)), disks_(folder.string()) {
    cpu_meter_.percent(tree_, cgroup_, Clock::now());  // what the first vitals are measured from
}

MachineFacts Machine::facts() const {
    utsname kernel{};
    uname(&kernel);
    MachineFacts facts;
    facts.hostname = hostname();
    facts.kernel_arch = display_text(kernel.machine);
    facts.arch = program_arch(facts.kernel_arch);
    facts.cpu = cpu_model(tree_);
    facts.board = machine_model(tree_);
    facts.serial = machine_serial(tree_);
    facts.cpu_cores = usable_cores(tree_, cgroup_);
    facts.ram_bytes = ram_usable(tree_, cgroup_);
    facts.os = os_name(tree_);
    facts.kernel = display_text(kernel.release);
    return facts;
}

Vitals Machine::vitals(Instant now) {
    Vitals vitals;
    const auto meminfo = tree_.text("proc/meminfo");
    vitals.cpu_percent = cpu_meter_.percent(tree_, cgroup_, now);
    vitals.ram_available_bytes = ram_available(meminfo, cgroup_);
    read_swap(meminfo, vitals);
    vitals.load_1m = load_1m(tree_);
    vitals.pressure_cpu = pressure(tree_, "cpu");
    vitals.pressure_memory = pressure(tree_, "memory");
    vitals.pressure_io = pressure(tree_, "io");
    const auto sensors = sensors_.read(tree_, now);
    vitals.temperature_c = sensors.temperature_c;
    const auto held_back = throttling_.read(tree_, calls_, sensors.undervoltage, now);
    vitals.undervoltage = held_back.undervoltage;
    vitals.undervoltage_seen = held_back.undervoltage_seen;
    vitals.throttled = held_back.throttled;
    vitals.frequency_capped = held_back.frequency_capped;
    vitals.cpu_mhz_max = held_back.cpu_mhz_max;
    vitals.cpu_mhz_limit = held_back.cpu_mhz_limit;
    const auto disk = disks_.read(tree_, calls_, now);
    vitals.disk_bytes = disk.bytes;
    vitals.disk_free_bytes = disk.free_bytes;
    vitals.disk_read_only = disk.read_only;
    vitals.disk_errors = disk.errors;
    const auto network = network_.read(tree_, now);
    vitals.network = network.name;
    vitals.network_mbps = network.mbps;
    vitals.network_received_bytes = network.received_bytes;
    vitals.network_sent_bytes = network.sent_bytes;
    vitals.network_errors = network.errors;
    if (calls_.clock_is_set) vitals.clock_set = calls_.clock_is_set();
    return vitals;
}

std::string Machine::fingerprint() const {
    return board_fingerprint(tree_);
}

std::string Machine::boot_id() const {
    auto id = display_text(tree_.text("proc/sys/kernel/random/boot_id"));
    const bool uuid =
        id.size() == 36 && id.find_first_not_of("0123456789abcdef-") == std::string::npos;
    return uuid ? id : std::string();
}

}  // namespace rpic
