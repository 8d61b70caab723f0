#include "master/core/worker.hpp"

#include <algorithm>

#include "common/limits.hpp"

namespace rpic {

bool Worker::fits(const Needs& needs, bool empty) const {
    static const Needs nothing;
    const auto& taken = empty ? nothing : used;
    // Tasks that ask for no cpu would otherwise be without number.
    if (!empty && running() >= limits::node_tasks) return false;
    if (needs.cpus_milli > 0 && needs.cpus_milli > cpus_milli() - taken.cpus_milli) return false;
    if (needs.memory_bytes > 0 &&
        needs.memory_bytes > node->record.memory_bytes - taken.memory_bytes)
        return false;
    for (const auto& [name, count] : needs.resources) {
        const auto offered = node->record.resources.find(name);
        const auto in_use = taken.resources.find(name);
        if (offered == node->record.resources.end() ||
            count > offered->second - (in_use == taken.resources.end() ? 0 : in_use->second))
            return false;
    }
    return true;
}

void Worker::occupy(const Needs& needs) {
    used.cpus_milli += needs.cpus_milli;
    used.memory_bytes += needs.memory_bytes;
    for (const auto& [name, count] : needs.resources) used.resources[name] += count;
}

void Worker::vacate(const Needs& needs) {
    used.cpus_milli -= needs.cpus_milli;
    used.memory_bytes -= needs.memory_bytes;
    for (const auto& [name, count] : needs.resources) used.resources[name] -= count;
}

bool Worker::takes_work() const {
    return session != 0 && node != nullptr && node->state == NodeState::online &&
           !node->record.draining && node->record.quarantine.empty() &&
           node->health.no_work().empty();
}

WhereFacts Worker::facts() const {
    const auto& record = node->record;
    WhereFacts facts;
    facts.name = record.name;
    facts.hostname = record.machine.hostname;
    facts.role = record.role;
    facts.version = record.version;
    facts.arch = record.machine.arch;
    facts.kernel_arch = record.machine.kernel_arch;
    facts.os = record.machine.os;
    facts.kernel = record.machine.kernel;
    facts.cpu = record.machine.cpu;
    facts.cpu_cores = record.machine.cpu_cores;
    facts.cpus = record.cpus;
    facts.ram_bytes = record.machine.ram_bytes;
    facts.memory_bytes = record.memory_bytes;
    facts.temperature_c = node->vitals.temperature_c;
    facts.load_1m = node->vitals.load_1m;
    facts.cpu_percent = node->vitals.cpu_percent;
    facts.labels = &labels;
    facts.resources = &record.resources;
    return facts;
}

double Worker::foreign_load() const {
    if (!node->vitals.load_1m) return 0;
    const double ours = static_cast<double>(used.cpus_milli) / 1000;
    return std::max(0.0, *node->vitals.load_1m - ours);
}

}  // namespace rpic
