#include "slave/core/attempt_slots.hpp"

#include <algorithm>
#include <cmath>

#include "common/limits.hpp"
#include "common/text.hpp"

namespace rpic {

namespace {

std::int64_t amount(const std::map<std::string, std::int64_t>& resources, const std::string& name) {
    const auto found = resources.find(name);
    return found == resources.end() ? 0 : found->second;
}

}  // namespace

std::int64_t milli_cpus(double cpus) {
    return std::llround(std::clamp(cpus, 0.0, static_cast<double>(limits::job_cpus)) * 1000);
}

bool AttemptSlots::fits_beside(const Holding& wanted, const Holding& used) const {
    if (wanted.milli_cpus > capacity_.milli_cpus - used.milli_cpus) return false;
    if (wanted.memory_bytes > capacity_.memory_bytes - used.memory_bytes) return false;
    for (const auto& [name, count] : wanted.resources)
        if (count > amount(capacity_.resources, name) - amount(used.resources, name)) return false;
    return true;
}

void AttemptSlots::take(const Holding& holding) {
    used_.milli_cpus += holding.milli_cpus;
    used_.memory_bytes += holding.memory_bytes;
    for (const auto& [name, count] : holding.resources) used_.resources[name] += count;
}

void AttemptSlots::give_back(const Holding& holding) {
    used_.milli_cpus -= holding.milli_cpus;
    used_.memory_bytes -= holding.memory_bytes;
    for (const auto& [name, count] : holding.resources)
        if ((used_.resources[name] -= count) == 0) used_.resources.erase(name);
}

std::string AttemptSlots::words(const Holding& holding) {
    auto cpus = std::to_string(holding.milli_cpus / 1000);
    if (const auto rest = holding.milli_cpus % 1000; rest != 0) {
        auto digits = std::to_string(1000 + rest).substr(1);
        while (digits.back() == '0') digits.pop_back();
        cpus += "." + digits;
    }
    std::string text = cpus + " CPUs, " + format_size(holding.memory_bytes) + " of memory";
    for (const auto& [name, count] : holding.resources)
        text += ", " + name + "=" + std::to_string(count);
    return text;
}

}  // namespace rpic
