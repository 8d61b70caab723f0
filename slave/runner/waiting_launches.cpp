#include "slave/runner/waiting_launches.hpp"

#include <set>

namespace rpic {

bool WaitingLaunches::add(const AttemptKey& key, std::string frame) {
    const auto [place, added] = waiting_.try_emplace(key);
    if (!added) return false;
    bytes_ += frame.size();
    place->second.frame = std::move(frame);
    place->second.number = ++last_number_;
    return true;
}

const std::string& WaitingLaunches::sent(const AttemptKey& key) {
    auto& launch = waiting_.at(key);
    launch.sent = true;
    return launch.frame;
}

void WaitingLaunches::answered(const AttemptKey& key) {
    const auto found = waiting_.find(key);
    if (found == waiting_.end()) return;
    bytes_ -= found->second.frame.size();
    waiting_.erase(found);
}

std::vector<AttemptKey> WaitingLaunches::on_attached(const std::vector<RunnerAttempt>& known) {
    open_ = true;
    std::set<AttemptKey> taken;
    for (const auto& each : known) taken.insert(each.key);
    std::map<std::uint64_t, AttemptKey> in_order;
    for (const auto& [key, launch] : waiting_)
        if (!launch.sent && !taken.contains(key)) in_order[launch.number] = key;
    std::vector<AttemptKey> keys;
    for (const auto& [number, key] : in_order) keys.push_back(key);
    return keys;
}

void WaitingLaunches::on_runner_gone() {
    open_ = false;
    for (auto& [key, launch] : waiting_) {
        if (launch.sent) ++launch.deaths;
        launch.sent = false;
    }
}

std::vector<AttemptKey> WaitingLaunches::give_up(int deaths) {
    std::vector<AttemptKey> keys;
    for (const auto& [key, launch] : waiting_)
        if (launch.deaths >= deaths) keys.push_back(key);
    for (const auto& key : keys) answered(key);
    return keys;
}

}  // namespace rpic
