#include <array>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <optional>
#include <string>
#include <string_view>

#include "test/sim/bugs.hpp"
#include "test/sim/world.hpp"

using namespace rpic::sim;

namespace {

constexpr std::string_view usage =
    "usage: rpicluster-sim --seeds N [--first S] [--policy keep|stop] [--bug NAME]\n"
    "       rpicluster-sim --seed S [--policy keep|stop] [--bug NAME]\n"
    "       rpicluster-sim --list-bugs\n"
    "Runs a cluster in virtual time, with everything going wrong that can, once for each seed: "
    "the\n"
    "real decisions of master and slave on a fake network, fake disks and fake machines. --seeds\n"
    "prints one line of counts and ends with 1 at the first seed where something is not as it "
    "must\n"
    "be; --seed prints what happens in that one, the same bytes each time. --policy is that of "
    "all\n"
    "jobs (on_disconnect); without it they are mixed. --bug plants a mistake that must be found.\n";

struct Options {
    std::optional<std::uint64_t> seed;
    std::uint64_t seeds = 0;
    std::uint64_t first = 1;
    Policy policy = Policy::mixed;
    bool list_bugs = false;
};

bool parse_number(std::string_view text, std::uint64_t& number) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    return error == std::errc{} && end == text.data() + text.size() && number > 0;
}

bool parse_policy(std::string_view text, Policy& policy) {
    policy = text == "stop" ? Policy::stop : Policy::keep;
    return text == "stop" || text == "keep";
}

bool parse_bug(std::string_view text) {
    for (std::size_t index = 0; index < std::size(bugs); ++index)
        if (bugs[index].name == text) active_bug = static_cast<int>(index);
    return active_bug >= 0;
}

bool parse(int count, char** words, Options& options) {
    for (int i = 1; i < count; ++i) {
        const std::string_view flag = words[i];
        if (flag == "--list-bugs") {
            options.list_bugs = true;
            continue;
        }
        if (++i == count) return false;
        const std::string_view value = words[i];
        std::uint64_t number = 0;
        const bool good = flag == "--seeds"    ? parse_number(value, options.seeds)
                          : flag == "--first"  ? parse_number(value, options.first)
                          : flag == "--policy" ? parse_policy(value, options.policy)
                          : flag == "--bug"    ? parse_bug(value)
                          : flag == "--seed"   ? parse_number(value, number)
                                               : false;
        if (!good) return false;
        if (flag == "--seed") options.seed = number;
    }
    return options.list_bugs || options.seed || options.seeds > 0;
}

int print_trace(const Options& options) {
    World world(*options.seed, options.policy, true);
    const auto outcome = world.run();
    std::fwrite(outcome.trace.data(), 1, outcome.trace.size(), stdout);
    return outcome.kind ? 1 : 0;
}

int run_seeds(const Options& options) {
    std::array<int, kind_names.size()> found{};
    std::int64_t jobs = 0, attempts = 0, faults = 0;
    rpic::Duration passed{};
    Troubles troubles;
    std::uint64_t run = 0;
    std::optional<Outcome> bad;
    const auto began = std::chrono::steady_clock::now();
    while (run < options.seeds && !bad) {
        World world(options.first + run++, options.policy, false);
        auto outcome = world.run();
        jobs += outcome.jobs;
        attempts += outcome.attempts;
        faults += outcome.faults;
        troubles.add(outcome.troubles);
        passed += outcome.passed;
        if (!outcome.kind) continue;
        ++found[static_cast<std::size_t>(*outcome.kind)];
        bad = std::move(outcome);
    }
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
    std::printf("seeds=%llu", static_cast<unsigned long long>(run));
    for (std::size_t kind = 0; kind < found.size(); ++kind)
        std::printf(" %s=%d", kind_names[kind], found[kind]);
    std::printf(" jobs=%lld attempts=%lld faults=%lld virtual_hours=%.1f seconds=%.1f%s\n",
                static_cast<long long>(jobs), static_cast<long long>(attempts),
                static_cast<long long>(faults), rpic::to_seconds(passed) / 3600, took.count(),
                troubles.text().c_str());
    if (!bad) return 0;
    std::fprintf(stderr, "rpicluster-sim: seed %llu: %s: %s; see --seed %llu\n",
                 static_cast<unsigned long long>(options.first + run - 1),
                 kind_names[static_cast<std::size_t>(*bad->kind)], bad->violation.c_str(),
                 static_cast<unsigned long long>(options.first + run - 1));
    return 1;
}

}  // namespace

int main(int count, char** words) {
    Options options;
    if (count == 2 && std::string_view(words[1]) == "--help") {
        std::fwrite(usage.data(), 1, usage.size(), stdout);
        return 0;
    }
    if (!parse(count, words, options)) {
        std::fwrite(usage.data(), 1, usage.size(), stderr);
        return 2;
    }
    if (options.list_bugs) {
        for (const auto& bug : bugs) std::printf("%s\n", std::string(bug.name).c_str());
        return 0;
    }
    return options.seed ? print_trace(options) : run_seeds(options);
}
