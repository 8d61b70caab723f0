#include "slave/runner/sync_plan.hpp"

#include <algorithm>

#include "common/limits.hpp"

namespace rpic {

void SyncPlan::add(const AttemptKey& key, Instant ended_at, bool files) {
    ends_[key] = End{ended_at, files ? Step::files : Step::spool};
}

void SyncPlan::on_spool_rewritten() {
    for (auto& [key, end] : ends_)
        if (end.step == Step::nothing) end.step = Step::spool;
}

bool SyncPlan::pending() const {
    return std::any_of(ends_.begin(), ends_.end(),
                       [](const auto& each) { return each.second.step != Step::nothing; });
}

bool SyncPlan::any(Step step, Instant ended_before) const {
    return std::any_of(ends_.begin(), ends_.end(), [&](const auto& each) {
        return each.second.step == step && each.second.ended_at <= ended_before;
    });
}

std::vector<AttemptKey> SyncPlan::files_due(Instant now) const {
    std::vector<AttemptKey> keys;
    if (!any(Step::files, now - limits::files_sync)) return keys;
    for (const auto& [key, end] : ends_)
        if (end.step == Step::files) keys.push_back(key);
    return keys;
}

void SyncPlan::on_files_tried(const std::vector<AttemptKey>& keys) {
    for (const auto& key : keys)
        if (const auto known = ends_.find(key); known != ends_.end())
            known->second.step = Step::spool;
}

bool SyncPlan::spool_due(Instant now) const {
    return any(Step::spool, now - limits::spool_sync / 2);
}

void SyncPlan::on_spool_sync() {
    for (auto& [key, end] : ends_)
        if (end.step == Step::spool) end.step = Step::nothing;
}

}  // namespace rpic
