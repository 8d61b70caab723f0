#include "common/settings.hpp"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>

#include "common/errors.hpp"
#include "common/files.hpp"
#include "common/limits.hpp"
#include "common/text.hpp"

namespace rpic {

namespace {

using Kind = Setting::Kind;

constexpr const char* levels = "debug|info|warning|error";

const std::vector<Setting> table = {
    {Program::master, "master", "socket_port", "port", Kind::port, false, "12345", "PORT",
     "port to listen on"},
    {Program::master, "master", "socket_bind_ip", "bind", Kind::text, false, "", "ADDR",
     "address to listen on; every address unless given"},
    {Program::master, "master", "state_dir", "state-dir", Kind::text, false, "", "D",
     "folder for keys and state"},
    {Program::master, "master", "plain", "plain", Kind::toggle, false, "no", "",
     "also accept the unencrypted protocol of the tutorial series"},
    {Program::master, "master", "discovery", "", Kind::toggle, false, "yes", "",
     "answer slaves that look for their master"},
    {Program::master, "master", "discovery_port", "", Kind::port, false, "12345", "PORT",
     "UDP port for that"},
    {Program::master, "master", "log_level", "log-level", Kind::choice, false, "info", levels,
     "least severity that is logged"},
    {Program::master, "master", "log_file", "log-file", Kind::text, false, "", "F",
     "log there too, rotated at 10 MiB"},
    {Program::master, "master", "ensure", "ensure", Kind::toggle, false, "no", "",
     "for cron: start in the background unless it runs already"},
    {Program::master, "master", "hot_celsius", "", Kind::count, false, "80", "N",
     "from this temperature on a node gets no new work"},
    {Program::master, "master", "cooled_celsius", "", Kind::count, false, "", "N",
     "below this one it gets work again"},
    {Program::master, "master", "warm_celsius", "", Kind::count, false, "", "N",
     "from this temperature on others are chosen before it"},
    {Program::master, "master", "low_disk", "", Kind::size, false, "256M", "SIZE",
     "a node with less free on its disk is unwell"},
    {Program::master, "master", "keep_time", "", Kind::duration, false, "30d", "T",
     "ended jobs are forgotten after this time"},
    {Program::master, "master", "keep_jobs", "", Kind::count, false, "10000", "N",
     "more ended jobs: the oldest are forgotten"},
    {Program::master, "master", "keep_outputs", "", Kind::size, false, "4G", "SIZE",
     "more output of ended jobs: the oldest are forgotten"},
    {Program::master, "master", "keep_files", "", Kind::size, false, "8G", "SIZE",
     "more files of jobs: the oldest ended jobs are forgotten, and their files"},
    {Program::master, "master", "restore", "restore", Kind::text, false, "", "FILE",
     "make the store from a backup, then exit; no master may run there"},

    {Program::slave, "slave", "master_ip", "master", Kind::text, true, "", "HOST[:PORT]",
     "master to join; may be given several times"},
    {Program::slave, "slave", "socket_port", "", Kind::port, false, "12345", "PORT",
     "port of the master"},
    {Program::slave, "slave", "key_file", "key-file", Kind::text, false, "", "F",
     "file with the join key"},
    {Program::slave, "slave", "join_key", "", Kind::text, false, "", "KEY",
     "the join key itself, for a card that is prepared on a PC"},
    {Program::slave, "slave", "discovery", "", Kind::toggle, false, "yes", "",
     "look for the master where none is named"},
    {Program::slave, "slave", "discovery_port", "", Kind::port, false, "12345", "PORT",
     "UDP port that masters answer on"},
    {Program::slave, "slave", "role", "role", Kind::choice, false, "worker",
     "worker|basic|webserver", "what this slave does"},
    {Program::slave, "slave", "name", "name", Kind::text, false, "", "N",
     "name of this node; the host name unless given"},
    {Program::slave, "slave", "state_dir", "state-dir", Kind::text, false, "", "D",
     "folder for keys and state"},
    {Program::slave, "slave", "plain", "plain", Kind::toggle, false, "no", "",
     "speak the unencrypted protocol of the tutorial series"},
    {Program::slave, "slave", "cpus", "cpus", Kind::count, false, "", "N",
     "CPUs to offer; all unless given"},
    {Program::slave, "slave", "memory", "memory", Kind::size, false, "", "SIZE",
     "memory to offer; all unless given"},
    {Program::slave, "slave", "labels", "label", Kind::text, true, "", "K=V",
     "label of this node; may be given several times"},
    {Program::slave, "slave", "resources", "resource", Kind::text, true, "", "NAME=N",
     "named resource to offer to jobs; may be given several times"},
    {Program::slave, "slave", "task_user", "", Kind::text, false, "", "USER",
     "user that tasks run as"},
    {Program::slave, "slave", "task_groups", "", Kind::text, true, "", "GROUP,...",
     "further groups of that user"},
    {Program::slave, "slave", "cache_size", "", Kind::size, false, "", "SIZE",
     "disk space for input files of tasks"},
    {Program::slave, "slave", "runner_command", "", Kind::text, false, "", "COMMAND",
     "what starts the runner, if not the slave itself"},
    {Program::slave, "slave", "reboot_command", "", Kind::text, false, "systemctl reboot",
     "COMMAND", "what an order to reboot runs"},
    {Program::slave, "slave", "poweroff_command", "", Kind::text, false, "systemctl poweroff",
     "COMMAND", "what an order to switch off runs"},
    {Program::slave, "slave", "heartbeat", "heartbeat", Kind::duration, false, "5", "SECONDS",
     "time between heartbeats"},
    {Program::slave, "slave", "reconnect_max", "reconnect-max", Kind::duration, false, "60",
     "SECONDS", "longest wait between two attempts to reach the master"},
    {Program::slave, "webserver", "webserver_host", "web-bind", Kind::text, false, "127.0.0.1",
     "ADDR", "address of the web page (role webserver)"},
    {Program::slave, "webserver", "webserver_port", "web-port", Kind::port, false, "8123", "PORT",
     "port of the web page (role webserver)"},
    {Program::slave, "webserver", "allowed_hosts", "", Kind::text, true, "", "HOST,...",
     "further names and addresses under which the web page may be asked for"},
    {Program::slave, "webserver", "influxdb_url", "", Kind::text, false, "", "URL",
     "where InfluxDB takes measurements"},
    {Program::slave, "webserver", "influxdb_token_file", "", Kind::text, false, "", "F",
     "file with the token for InfluxDB"},
    {Program::slave, "webserver", "influxdb_interval", "", Kind::duration, false, "5", "SECONDS",
     "time between two measurements for InfluxDB"},
    {Program::slave, "slave", "rejoin", "rejoin", Kind::toggle, false, "no", "",
     "if this node's own key is refused, forget it and join anew with the join key"},
    {Program::slave, "slave", "log_level", "log-level", Kind::choice, false, "info", levels,
     "least severity that is logged"},
    {Program::slave, "slave", "log_file", "log-file", Kind::text, false, "", "F",
     "log there too, rotated at 10 MiB; a runner that it starts logs to F.runner"},
    {Program::slave, "slave", "ensure", "ensure", Kind::toggle, false, "no", "",
     "for cron: start in the background unless it runs already"},
    {Program::slave, "slave", "health", "health", Kind::toggle, false, "no", "",
     "ask the slave that runs here whether it is joined: exit code 0 or 1"},

    {Program::client, "client", "master", "master", Kind::text, false, "", "HOST[:PORT]",
     "master to talk to"},
    {Program::client, "client", "key_file", "key-file", Kind::text, false, "", "F",
     "file with a token or the admin key"},
    {Program::client, "client", "state_dir", "state-dir", Kind::text, false, "", "D",
     "folder where keys are looked for and stored"},
};

std::string name_of(const Setting& setting) {
    return *setting.flag != '\0' ? setting.flag : setting.key;
}

std::optional<std::int64_t> whole_number(std::string_view text) {
    std::int64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return number;
}

/// What is expected of a value, if `value` is not it; empty if it is fine.
std::string complaint(const Setting& setting, const std::string& value) {
    switch (setting.kind) {
        case Kind::text:
            return {};
        case Kind::toggle:
            return parse_bool(value) ? "" : "yes or no";
        case Kind::port: {
            const auto port = whole_number(value);
            return port && *port >= 0 && *port <= 65535 ? "" : "a port from 0 to 65535";
        }
        case Kind::duration:
            return parse_duration(value) ? "" : "a duration such as 5, 500ms, 2m or 1h";
        case Kind::size:
            return parse_size(value) ? "" : "a size such as 512M or 1.5G";
        case Kind::count: {
            const auto count = whole_number(value);
            return count && *count >= 1 && *count <= 1'000'000 ? "" : "a number from 1 up";
        }
        case Kind::choice: {
            const auto words = split(setting.argument, '|');
            if (std::find(words.begin(), words.end(), value) != words.end()) return {};
            return "one of " + std::string(setting.argument);
        }
    }
    return {};
}

void check(const Setting& setting, const std::vector<std::string>& values,
           const std::string& origin) {
    for (const auto& value : values)
        if (const auto expected = complaint(setting, value); !expected.empty())
            throw ConfigError("bad value \"" + printable(value, limits::log_text_chars) +
                              "\" for " + origin + ": expected " + expected);
}

/// What stands on a command line, by flag.
struct CommandLine {
    std::map<std::string, std::vector<std::string>> flags;
    std::vector<std::string> arguments;
    std::string config;
    bool help = false;
    bool version = false;
};

const Setting* find_flag(Program program, std::string_view flag) {
    for (const auto& setting : table)
        if (setting.program == program && *setting.flag != '\0' && flag == setting.flag)
            return &setting;
    return nullptr;
}

std::vector<std::string> known_flags(Program program) {
    std::vector<std::string> flags = {"--config", "--help", "--version"};
    for (const auto& setting : table)
        if (setting.program == program && *setting.flag != '\0')
            flags.push_back(std::string("--") + setting.flag);
    return flags;
}

[[noreturn]] void unknown_flag(Program program, const std::string& flag) {
    const auto near = nearest(flag, known_flags(program));
    throw ConfigError(
        "unknown option " + printable(flag, limits::log_text_chars) +
        (near.empty() ? "; --help lists the options" : "; did you mean " + near + "?"));
}

CommandLine read_command_line(Program program, const std::vector<std::string>& arguments) {
    CommandLine line;
    for (std::size_t i = 0; i < arguments.size(); ++i) {
        const auto& argument = arguments[i];
        if (argument == "--help" || argument == "-h") {
            line.help = true;
            continue;
        }
        if (argument == "--version") {
            line.version = true;
            continue;
        }
        if (argument == "--") {
            const auto behind = arguments.begin() + static_cast<std::ptrdiff_t>(i) + 1;
            line.arguments.insert(line.arguments.end(), behind, arguments.end());
            break;
        }
        if (!argument.starts_with("--")) {
            line.arguments.push_back(argument);
            continue;
        }
        const auto equals = argument.find('=');
        const auto flag = argument.substr(2, equals == std::string::npos ? equals : equals - 2);
        const auto* setting = find_flag(program, flag);
        if (setting == nullptr && flag != "config") unknown_flag(program, "--" + flag);
        std::string value = "yes";
        if (equals != std::string::npos) {
            value = argument.substr(equals + 1);
        } else if (setting == nullptr || setting->kind != Kind::toggle) {
            if (++i == arguments.size()) throw ConfigError("--" + flag + " needs a value");
            value = arguments[i];
        }
        if (setting == nullptr) {
            line.config = value;
        } else {
            auto& values = line.flags[flag];
            if (!setting->repeats) values.clear();  // the last one wins
            values.push_back(value);
        }
    }
    return line;
}

/// The values that a text in file or environment means. An empty text can mean something (every
/// address, no file); an empty number, choice or switch is the default.
std::vector<std::string> values_from_text(const Setting& setting, const std::string& text) {
    if (setting.repeats) return split(text, ',');
    const std::string value =
        text.empty() && setting.kind != Kind::text ? setting.default_value : text;
    if (value.empty()) return {};
    return {value};
}

IniFile take_config(const std::string& text, const std::string& name, Settings& settings) {
    auto file = parse_ini(text, name);
    auto warnings = unknown_keys(file, name);
    settings.warnings.insert(settings.warnings.end(), warnings.begin(), warnings.end());
    return file;
}

/// The files that count, the one that wins last: that of --config alone, else that of the boot
/// partition and then that of the system.
std::vector<IniFile> read_configs(const std::string& chosen, const FileReader& read_file,
                                  Settings& settings) {
    std::vector<IniFile> files;
    if (!chosen.empty()) {
        const auto text = read_file(chosen);
        if (!text)
            throw ConfigError("cannot find the configuration file " + chosen +
                              " given with --config");
        files.push_back(take_config(*text, chosen, settings));
        return files;
    }
    for (const auto* name : boot_config_files)
        if (const auto text = read_file(name)) {
            files.push_back(take_config(*text, name, settings));
            break;
        }
    if (const auto text = read_file(default_config_file))
        files.push_back(take_config(*text, default_config_file, settings));
    return files;
}

/// What the file says of a setting, if it does.
void take_from(const IniFile& file, const Setting& setting, std::vector<std::string>& values) {
    for (const auto& entry : file.entries) {
        if (entry.section != setting.section || entry.key != setting.key) continue;
        values = values_from_text(setting, entry.value);
        check(setting, values,
              entry.key + " (" + file.name + " line " + std::to_string(entry.line) + ")");
    }
}

const std::vector<std::string> nothing;
const std::string empty;

}  // namespace

const std::vector<Setting>& all_settings() {
    return table;
}

Settings load_settings(Program program, const std::vector<std::string>& arguments,
                       const Environment& environment, const FileReader& read_file) {
    const auto line = read_command_line(program, arguments);
    Settings settings;
    settings.help = line.help;
    settings.version = line.version;
    settings.arguments = line.arguments;
    if (line.help || line.version) return settings;
    const auto files = read_configs(line.config, read_file, settings);
    for (const auto& setting : table) {
        if (setting.program != program) continue;
        std::vector<std::string> values = values_from_text(setting, setting.default_value);
        for (const auto& file : files) take_from(file, setting, values);
        const auto variable = environment_name(setting);
        if (const char* value = environment(variable)) {
            values = values_from_text(setting, value);
            check(setting, values, variable);
        }
        if (const auto flag = line.flags.find(setting.flag); flag != line.flags.end()) {
            values = flag->second;
            check(setting, values, std::string("--") + setting.flag);
        }
        settings.set(name_of(setting), std::move(values));
    }
    return settings;
}

Settings load_settings(Program program, int argc, char** argv) {
    const std::vector<std::string> arguments(argv + 1, argv + argc);
    auto settings = load_settings(
        program, arguments, [](const std::string& name) { return std::getenv(name.c_str()); },
        [](const std::string& path) { return read_file_if_there(path, limits::config_bytes); });
    for (char** variable = environ; *variable != nullptr; ++variable)
        if (auto warning = unknown_variable(*variable); !warning.empty())
            settings.warnings.push_back(std::move(warning));
    // Programs that this one starts, tasks among them, have no use for it.
    ::unsetenv("RPICLUSTER_SLAVE_JOIN_KEY");
    return settings;
}

LogOptions log_options(const Settings& settings) {
    LogOptions options;
    const auto& level = settings.text("log-level");
    if (level == "debug") options.level = Severity::debug;
    if (level == "warning") options.level = Severity::warning;
    if (level == "error") options.level = Severity::error;
    options.file = settings.text("log-file");
    return options;
}

const std::vector<std::string>& Settings::list(std::string_view name) const {
    const auto found = values_.find(name);
    return found == values_.end() ? nothing : found->second;
}

const std::string& Settings::text(std::string_view name) const {
    const auto& values = list(name);
    return values.empty() ? empty : values.back();
}

bool Settings::toggle(std::string_view name) const {
    return parse_bool(text(name)).value_or(false);
}

std::uint16_t Settings::port(std::string_view name) const {
    return static_cast<std::uint16_t>(whole_number(text(name)).value_or(0));
}

std::optional<Duration> Settings::duration(std::string_view name) const {
    return text(name).empty() ? std::nullopt : parse_duration(text(name));
}

std::optional<std::int64_t> Settings::size(std::string_view name) const {
    return text(name).empty() ? std::nullopt : parse_size(text(name));
}

std::optional<std::int64_t> Settings::count(std::string_view name) const {
    return text(name).empty() ? std::nullopt : whole_number(text(name));
}

}  // namespace rpic
