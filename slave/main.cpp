#include <cstdio>
#include <optional>

#include "common/daemon.hpp"
#include "common/errors.hpp"
#include "common/files.hpp"
#include "common/log.hpp"
#include "common/settings.hpp"
#include "common/version.hpp"
#include "slave/health.hpp"
#include "slave/run.hpp"

namespace {

using namespace rpic;

constexpr const char* usage =
    "Usage: rpicluster-slave [options]\n"
    "Joins this machine to a cluster and stays in it.\n\n";

int start(int argc, char** argv) {
    const auto settings = load_settings(Program::slave, argc, argv);
    if (settings.help) {
        std::printf("%s%s", usage, options_help(Program::slave).c_str());
        return exit_code::ok;
    }
    if (settings.version) {
        std::printf("rpicluster-slave %s\n", version);
        return exit_code::ok;
    }
    if (!settings.arguments.empty())
        throw ConfigError("unexpected argument \"" + settings.arguments.front() +
                          "\"; --help lists the options");
    const auto options = slave_options(settings);
    if (settings.toggle("health")) return ask_health(options.folder);
    make_private_folder(options.state);
    make_private_folder(options.folder);
    const bool ensure = settings.toggle("ensure");
    std::optional<FolderLock> lock;
    Background background(ensure);
    try {
        lock.emplace(options.folder, "a slave");
    } catch (const AlreadyRunningError&) {
        if (ensure) return exit_code::ok;
        throw;
    }
    auto log = log_options(settings);
    log.to_stderr = !ensure;  // cron mails whatever it reads there
    start_log(log);
    for (const auto& warning : settings.warnings) log_warning(warning);
    return run_slave(options, background);
}

}  // namespace

int main(int argc, char** argv) {
    rpic::leave_init_behind();
    rpic::prepare_process();
    return rpic::guarded_main("rpicluster-slave", [&] { return start(argc, argv); });
}
