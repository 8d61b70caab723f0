#include <string>
#include <vector>

#include "common/errors.hpp"
#include "common/settings.hpp"
#include "test/fuzz/targets.hpp"

namespace rpic::fuzz {

namespace {

void load(Program program, const std::string& text) {
    const auto nothing = [](const std::string&) -> const char* { return nullptr; };
    const auto file = [&](const std::string&) { return std::optional<std::string>(text); };
    try {
        const auto settings = load_settings(program, {}, nothing, file);
        for (const auto& warning : settings.warnings) expect_one_line(warning);
        log_options(settings);
        for (const auto& setting : all_settings()) {
            if (setting.program != program) continue;
            const std::string name = *setting.flag != '\0' ? setting.flag : setting.key;
            if (setting.kind == Setting::Kind::port) settings.port(name);
            if (setting.kind == Setting::Kind::duration) settings.duration(name);
            if (setting.kind == Setting::Kind::size) settings.size(name);
            if (setting.kind == Setting::Kind::count) settings.count(name);
            if (setting.kind == Setting::Kind::toggle) settings.toggle(name);
        }
    } catch (const ConfigError& error) {
        expect_one_line(error.what());
    }
}

}  // namespace

/// A file of settings, for one of the programs: all three would take three times as long.
void fuzz_config(std::string_view input) {
    constexpr Program programs[] = {Program::master, Program::slave, Program::client};
    load(programs[input.size() % 3], std::string(input));
}

}  // namespace rpic::fuzz
