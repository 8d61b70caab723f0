#include <cstdio>
#include <optional>

#include "common/daemon.hpp"
#include "common/errors.hpp"
#include "common/files.hpp"
#include "common/log.hpp"
#include "common/settings.hpp"
#include "common/text.hpp"
#include "common/version.hpp"
#include "master/run.hpp"
#include "master/store/backup.hpp"

namespace {

using namespace rpic;

constexpr const char* usage =
    "Usage: rpicluster-master [options]\n"
    "The master of a cluster: slaves join it, the command rpicluster talks to it.\n\n";

int restore(const std::string& file, const std::filesystem::path& folder) {
    const auto restored = restore_backup(file, folder);
    std::printf("restored %s into %s: %s in %lld files besides the store, epoch %lld\n",
                file.c_str(), folder.c_str(), format_size(restored.bytes).c_str(),
                static_cast<long long>(restored.files), static_cast<long long>(restored.epoch));
    return exit_code::ok;
}

HealthLimits health_limits(const Settings& settings) {
    HealthLimits health;
    health.hot_celsius = settings.count("hot_celsius").value_or(health.hot_celsius);
    health.cooled_celsius = settings.count("cooled_celsius").value_or(health.hot_celsius - 5);
    health.warm_celsius = settings.count("warm_celsius").value_or(health.hot_celsius - 10);
    health.low_disk_bytes = settings.size("low_disk").value_or(health.low_disk_bytes);
    if (health.cooled_celsius > health.hot_celsius)
        throw ConfigError("cooled_celsius is " + std::to_string(health.cooled_celsius) +
                          ", which is above hot_celsius, " + std::to_string(health.hot_celsius));
    return health;
}

RetentionLimits retention_limits(const Settings& settings) {
    RetentionLimits kept;
    kept.age = settings.duration("keep_time").value_or(kept.age);
    kept.jobs = static_cast<std::size_t>(
        settings.count("keep_jobs").value_or(static_cast<std::int64_t>(kept.jobs)));
    kept.output_bytes = settings.size("keep_outputs").value_or(kept.output_bytes);
    kept.file_bytes = settings.size("keep_files").value_or(kept.file_bytes);
    return kept;
}

int start(int argc, char** argv) {
    const auto settings = load_settings(Program::master, argc, argv);
    if (settings.help) {
        std::printf("%s%s", usage, options_help(Program::master).c_str());
        return exit_code::ok;
    }
    if (settings.version) {
        std::printf("rpicluster-master %s\n", version);
        return exit_code::ok;
    }
    if (!settings.arguments.empty())
        throw ConfigError("unexpected argument \"" + settings.arguments.front() +
                          "\"; --help lists the options");
    MasterOptions options;
    options.bind = settings.text("bind");
    options.port = settings.port("port");
    options.plain = settings.toggle("plain");
    options.health = health_limits(settings);
    options.retention = retention_limits(settings);
    options.discovery = settings.toggle("discovery");
    options.discovery_port = settings.port("discovery_port");
    const auto state = state_dir(settings.text("state-dir"));
    options.folder = state / "master";
    make_private_folder(state);
    make_private_folder(options.folder);
    const bool ensure = settings.toggle("ensure");
    std::optional<FolderLock> lock;
    Background background(ensure);
    try {
        lock.emplace(options.folder, "a master");
    } catch (const AlreadyRunningError&) {
        if (ensure) return exit_code::ok;
        throw;
    }
    if (const auto& file = settings.text("restore"); !file.empty())
        return restore(file, options.folder);
    auto log = log_options(settings);
    log.to_stderr = !ensure;  // cron mails whatever it reads there
    start_log(log);
    for (const auto& warning : settings.warnings) log_warning(warning);
    return run_master(options, background);
}

}  // namespace

int main(int argc, char** argv) {
    rpic::leave_init_behind();
    rpic::prepare_process();
    return rpic::guarded_main("rpicluster-master", [&] { return start(argc, argv); });
}
