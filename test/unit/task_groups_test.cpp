#include "slave/runner/task_groups.hpp"

#include <catch2/catch.hpp>

using namespace rpic;

TEST_CASE("the path of a cgroup is found among those of the older hierarchies") {
    CHECK(group_path("0::/system.slice/rpicluster-runner.service\n") ==
          "/system.slice/rpicluster-runner.service");
    CHECK(group_path("12:pids:/a\n1:name=systemd:/b\n0::/c d/e..f\n") == "/c d/e..f");
    CHECK(group_path("0::/\n") == "/");
    CHECK(group_path("").empty());
    CHECK(group_path("4:memory:/a\n").empty());
}

TEST_CASE("a cgroup that the mount does not show has no path") {
    CHECK(group_path("0::/../other\n").empty());
    CHECK(group_path("0::/..\n").empty());
    CHECK(group_path("0::\n").empty());
}

TEST_CASE("without a hierarchy there are no cgroups, and nobody minds") {
    TaskGroups none("none", "id");
    CHECK(none.take(false) == nullptr);
    TaskGroups elsewhere("/proc", "id");
    CHECK(elsewhere.take(true) == nullptr);
    elsewhere.give_back(nullptr);
}
