#include "slave/options.hpp"

#include <unistd.h>

#include "common/errors.hpp"
#include "common/files.hpp"
#include "common/keys.hpp"
#include "common/limits.hpp"

namespace rpic {

namespace {

std::string host_name() {
    char name[256] = {};
    return ::gethostname(name, sizeof name - 1) == 0 ? name : "";
}

HostPort parse_master(const std::string& text, std::uint16_t port) {
    const auto master = parse_host_port(text, port);
    if (!master)
        throw ConfigError("bad value \"" + printable(text, limits::log_text_chars) +
                          "\" for --master: expected HOST or HOST:PORT");
    return *master;
}

/// A heartbeat in the range where the master still tells a live node from a silent one.
Duration heartbeat_of(const Settings& settings) {
    const auto heartbeat = settings.duration("heartbeat").value_or(limits::heartbeat);
    if (heartbeat < limits::heartbeat_min || heartbeat > limits::heartbeat_max)
        throw ConfigError("bad value \"" + settings.text("heartbeat") +
                          "\" for --heartbeat: expected between 50ms and 10s, since the master "
                          "takes 15 s of silence for trouble");
    return heartbeat;
}

std::map<std::string, std::string> labels_of(const Settings& settings) {
    std::map<std::string, std::string> labels;
    for (const auto& text : settings.list("label")) {
        const auto equals = text.find('=');
        const auto key = text.substr(0, equals);
        const bool clean = printable(text, limits::text_chars) == text;
        if (equals == std::string::npos || key.empty() || node_name(key) != key || !clean)
            throw ConfigError(
                "bad value \"" + printable(text, limits::log_text_chars) +
                "\" for --label: expected KEY=VALUE, the key of letters, digits, '.', '_' and '-'");
        labels[key] = text.substr(equals + 1);
    }
    return labels;
}

std::map<std::string, std::int64_t> resources_of(const Settings& settings) {
    std::map<std::string, std::int64_t> resources;
    for (const auto& text : settings.list("resource")) {
        const auto equals = text.find('=');
        const auto name = text.substr(0, equals);
        const auto count =
            equals == std::string::npos ? std::nullopt : parse_size(text.substr(equals + 1));
        if (name.empty() || node_name(name) != name || !count || *count < 1)
            throw ConfigError("bad value \"" + printable(text, limits::log_text_chars) +
                              "\" for --resource: expected NAME=N, the name of letters, digits, "
                              "'.', '_' and '-', N from 1 up");
        resources[name] = *count;
    }
    return resources;
}

std::string name_of(const Settings& settings, const std::string& role) {
    const auto& given = settings.text("name");
    const auto name = node_name(given);
    if (name != given)
        throw ConfigError("bad value \"" + printable(given, limits::log_text_chars) +
                          "\" for --name: expected at most 63 letters, digits, '.', '_' and '-'");
    if (!name.empty()) return name;
    auto host = node_name(host_name());
    // A board often runs a worker and the web page: each gets a name that says what it is.
    return role == "webserver" ? host + "-web" : host;
}

std::string join_key_of(const Settings& settings) {
    const auto& given = settings.text("join_key");
    auto key = canonical_key(given);
    // What was given stays unsaid: it may be a key with one letter too many.
    if (key.empty() && !given.empty())
        throw ConfigError(
            "bad value for join_key: expected five groups of five letters and digits");
    return key;
}

InfluxOptions influx_of(const Settings& settings) {
    InfluxOptions options;
    options.url = settings.text("influxdb_url");
    if (!options.url.empty() && !parse_influx_url(options.url))
        throw ConfigError("bad value \"" + printable(options.url, limits::log_text_chars) +
                          "\" for influxdb_url: expected http://HOST[:PORT]/write?db=NAME");
    if (const auto& file = settings.text("influxdb_token_file"); !file.empty()) {
        const auto token = read_file_if_there(file, limits::key_file_bytes);
        if (!token) throw ConfigError("cannot find the file " + file + " (influxdb_token_file)");
        options.token = trim(*token);
        if (printable(options.token, limits::key_file_bytes) != options.token)
            throw ConfigError("the file " + file +
                              " (influxdb_token_file) holds more than one line of text");
    }
    options.interval = settings.duration("influxdb_interval").value_or(limits::heartbeat);
    if (options.interval < std::chrono::seconds(1))
        throw ConfigError("bad value \"" + settings.text("influxdb_interval") +
                          "\" for influxdb_interval: expected at least 1s");
    return options;
}

}  // namespace

SlaveOptions slave_options(const Settings& settings) {
    SlaveOptions options;
    options.role = settings.text("role");
    options.state = state_dir(settings.text("state-dir"));
    options.folder = options.state / ("slave-" + options.role);
    const auto port = settings.port("socket_port");
    for (const auto& text : settings.list("master"))
        options.masters.push_back(parse_master(text, port));
    options.join_key = join_key_of(settings);
    options.master_port = port;
    options.discovery_port = settings.port("discovery_port");
    // Without keys nobody could tell the right master from another.
    options.discovery = settings.toggle("discovery") && !settings.toggle("plain");
    // Absolute, because a program in the background leaves the folder that it was started in.
    if (const auto& file = settings.text("key-file"); !file.empty())
        options.key_file = std::filesystem::absolute(file).string();
    options.name = name_of(settings, options.role);
    options.plain = settings.toggle("plain");
    options.rejoin = settings.toggle("rejoin");
    options.labels = labels_of(settings);
    options.cpus = settings.count("cpus").value_or(0);
    options.memory_bytes = settings.size("memory").value_or(0);
    options.resources = resources_of(settings);
    options.tasks = options.state / "tasks";
    if (options.role == "worker" && !options.plain)
        options.task_user =
            find_task_user(settings.text("task_user"), settings.list("task_groups"));
    options.cache_bytes = settings.size("cache_size").value_or(0);
    options.runner_command = settings.text("runner_command");
    if (const auto& log = settings.text("log-file"); !log.empty())
        options.runner_log = std::filesystem::absolute(log).string() + ".runner";
    options.reboot_command = settings.text("reboot_command");
    options.poweroff_command = settings.text("poweroff_command");
    options.heartbeat = heartbeat_of(settings);
    options.reconnect_max = settings.duration("reconnect-max").value_or(limits::reconnect_max);
    if (options.reconnect_max < limits::reconnect_first)
        throw ConfigError("bad value \"" + settings.text("reconnect-max") +
                          "\" for --reconnect-max: expected at least 200ms");
    options.web.bind = settings.text("web-bind");
    options.web.port = settings.port("web-port");
    options.web.allowed_hosts = settings.list("allowed_hosts");
    options.web.state_dir = options.folder;
    options.influx = influx_of(settings);
    return options;
}

}  // namespace rpic
