#include "slave/runner/sync_plan.hpp"

#include <catch2/catch.hpp>

#include "common/limits.hpp"

using namespace rpic;
using namespace std::chrono_literals;
using Keys = std::vector<AttemptKey>;

namespace {

constexpr AttemptKey first{1, 1, 1};
constexpr AttemptKey second{1, 2, 1};
constexpr Instant ended{1000s};

}  // namespace

TEST_CASE("an end is synced once nobody has acknowledged it for a while", "[sync_plan]") {
    SyncPlan plan;
    plan.add(first, ended, false);
    CHECK(plan.pending());
    CHECK_FALSE(plan.spool_due(ended));
    CHECK(plan.spool_due(ended + limits::spool_sync));
    CHECK(plan.files_due(ended + 1h).empty());
    plan.on_spool_sync();
    CHECK_FALSE(plan.pending());
    plan.add(second, ended, true);
    plan.remove(second);
    CHECK_FALSE(plan.pending());
}

TEST_CASE("where there are files, these are synced before the spool", "[sync_plan]") {
    SyncPlan plan;
    plan.add(first, ended, true);
    plan.add(second, ended + 1s, true);
    CHECK_FALSE(plan.spool_due(ended + 1h));
    CHECK(plan.files_due(ended + 1s).empty());
    // One turn serves all that wait.
    CHECK(plan.files_due(ended + limits::files_sync) == Keys{first, second});
    plan.on_spool_sync();
    CHECK(plan.pending());
    plan.on_files_tried({first, second});
    CHECK(plan.files_due(ended + 1h).empty());
    CHECK(plan.spool_due(ended + limits::files_sync));
    plan.on_spool_sync();
    CHECK_FALSE(plan.pending());
}

TEST_CASE("a spool that was rewritten is synced again", "[sync_plan]") {
    SyncPlan plan;
    plan.on_spool_rewritten();
    CHECK_FALSE(plan.pending());
    plan.add(first, ended, false);
    plan.add(second, ended, true);
    plan.on_spool_sync();
    plan.on_spool_rewritten();
    CHECK(plan.spool_due(ended + limits::spool_sync));
    plan.on_spool_sync();
    CHECK(plan.files_due(ended + limits::files_sync) == Keys{second});
}
