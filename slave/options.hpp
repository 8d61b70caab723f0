#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "common/clock.hpp"
#include "common/settings.hpp"
#include "common/text.hpp"
#include "slave/influx_writer.hpp"
#include "slave/task_user.hpp"
#include "slave/web/web_server.hpp"

namespace rpic {

struct SlaveOptions {
    std::vector<HostPort> masters;  // empty: the one on this machine, found through the state dir
    bool discovery = false;         // where there is none: look for one
    std::uint16_t discovery_port = 0;
    std::uint16_t master_port = 0;  // of masters that are only known by their host
    std::string key_file;           // empty: the master's own, if it shares the state dir
    std::string join_key;           // if that was configured itself
    std::string role;               // worker | basic | webserver
    std::string name;
    std::filesystem::path state;   // the state dir
    std::filesystem::path folder;  // <state dir>/slave-ROLE
    bool plain = false;
    bool rejoin = false;
    std::map<std::string, std::string> labels;
    std::int64_t cpus = 0;          // 0: all
    std::int64_t memory_bytes = 0;  // 0: all
    std::map<std::string, std::int64_t> resources;
    TaskUser task_user;            // of workers
    std::filesystem::path tasks;   // where tasks have their folders
    std::int64_t cache_bytes = 0;  // 0: the default
    std::string runner_command;    // starts the runner; empty: the slave does that
    std::string runner_log;        // a file for what such a runner says; empty: nowhere
    std::string reboot_command;
    std::string poweroff_command;
    Duration heartbeat{};
    Duration reconnect_max{};
    WebOptions web;
    InfluxOptions influx;
};

/// Throws ConfigError for values that do not fit together.
SlaveOptions slave_options(const Settings& settings);

}  // namespace rpic
