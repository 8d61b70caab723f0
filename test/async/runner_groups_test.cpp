#include <sys/statfs.h>

#include "common/limits.hpp"
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

TEST_CASE("the kernel ends tasks before the runner when memory runs out", "[runner]") {
    int own = 0;
    std::ifstream("/proc/self/oom_score_adj") >> own;
    const int score = limits::task_oom_score;
    if (own >= score) {
        WARN("everything started from here has the score of tasks");
        return;
    }
    RunnerFolder folder;
    const bool groups = GENERATE(true, false);
    FakeSlave slave(folder.runner_path(), groups ? "" : folder.without_groups());
    const auto spec = folder.shell("until grep -qx " + std::to_string(score) +
                                   " /proc/self/oom_score_adj; do sleep 0.02; done; "
                                   "cat /proc/$PPID/oom_score_adj");
    CHECK(slave.run(spec).exit_code == 0);
    CHECK(stream_of(slave.outputs[spec.key], OutputStream::out) == std::to_string(own) + "\n");
}
