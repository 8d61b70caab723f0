#include <sys/statfs.h>

#include "test/async/runner_bench.hpp"

using namespace rpic;
using namespace rpic::test;

namespace {

constexpr long cgroup2_magic = 0x63677270;

/// A cgroup as a service manager gives it to a service; removed at the end.
class GivenGroup {
  public:
    GivenGroup() {
        for (const auto* top : {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"}) {
            struct statfs status {};
            if (::statfs(top, &status) == 0 && status.f_type == cgroup2_magic)
                name = "rpic-test-" + std::to_string(::getpid());
            if (!name.empty()) path = std::filesystem::path(top) / name;
            if (!name.empty()) break;
        }
        std::error_code error;
        if (path.empty() || !std::filesystem::create_directory(path, error)) path.clear();
    }
    ~GivenGroup() {
        for (const auto* below : {"runner", "tasks"}) ::rmdir((path / below).c_str());
        ::rmdir(path.c_str());
    }
    std::string name;
    std::filesystem::path path;  // empty: none can be had here
};

}  // namespace

TEST_CASE("a runner makes its cgroups below the one that it was given", "[runner]") {
    const GivenGroup given;
    RunnerFolder folder;
    if (given.path.empty()) {
        WARN("no cgroup v2 that can be written");
        return;
    }
    const auto program = folder.path / "runner-of-a-service";
    const auto own = std::filesystem::read_symlink("/proc/self/exe").parent_path();
    std::ofstream(program) << "#!/bin/sh\necho $$ > " << given.path.string()
                           << "/cgroup.procs\nexec "
                           << shell_quote((own / "rpicluster-runner").string())
                           << " --cgroups own \"$@\"\n";
    ::chmod(program.c_str(), 0755);
    {
        FakeSlave slave(folder.runner_path(), program.string());
        const auto spec = folder.shell("grep ^0: /proc/self/cgroup /proc/$PPID/cgroup");
        CHECK(slave.run(spec).exit_code == 0);
        const auto told = stream_of(slave.outputs[spec.key], OutputStream::out);
        CHECK(told.find("/self/cgroup:0::/" + given.name + "/tasks/0\n") != std::string::npos);
        CHECK(told.find("/cgroup:0::/" + given.name + "/runner\n") != std::string::npos);
    }
    folder.stop(SIGTERM);
    CHECK_FALSE(std::filesystem::exists(given.path / "tasks"));
}
