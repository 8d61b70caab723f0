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
