#include "slave/core/master_search.hpp"

#include <algorithm>
#include <utility>

#include "common/limits.hpp"

namespace rpic {

namespace {

std::string place_of(const HostPort& master) {
    return format_host_port(master.host, master.port);
}

bool is_v6(const HostPort& master) {
    return master.host.find(':') != std::string::npos;
}

/// "A (cluster 1234abcd) and B (cluster 5678cdef)"
std::string in_words(const std::map<std::string, FoundMaster>& masters) {
    std::string text;
    for (const auto& [run, master] : masters) {
        if (!text.empty()) text += " and ";
        text += place_of(master.address) + " (cluster " + master.cluster.substr(0, 8) + ")";
    }
    return text;
}

}  // namespace

MasterSearch::MasterSearch(std::optional<HostPort> last_known, std::vector<HostPort> names)
    : last_known_(std::move(last_known)), names_(std::move(names)) {}

MasterSearch::Step MasterSearch::next(Instant now) {
    Step step;
    if (!in_round_) {
        step.rest = all_rest_until_ - now;
        if (step.rest > Duration::zero()) return step;
        begin_round(now);
    }
    step.rest = {};
    for (;;) {
        if (take(now, step)) return step;
        switch (phase_) {
            case Phase::last_known:
                if (patient(now)) return end_round();
                phase_ = Phase::names;
                queue_.assign(names_.begin(), names_.end());
                break;
            case Phase::names:
                phase_ = Phase::ask;
                break;
            case Phase::ask:
                phase_ = Phase::found;
                asked_ = true;
                step.kind = Step::Kind::ask;
                return step;
            case Phase::found:
                return end_round();
        }
    }
}

void MasterSearch::begin_round(Instant now) {
    in_round_ = true;
    asked_ = false;
    two_masters_.clear();
    ask_failed_.clear();
    last_failure_.clear();
    std::erase_if(rests_until_, [&](const auto& rest) { return rest.second <= now; });
    if (!outage_began_) outage_began_ = now;
    phase_ = Phase::last_known;
    queue_.clear();
    if (last_known_) queue_.push_back(*last_known_);
}

MasterSearch::Step MasterSearch::end_round() {
    in_round_ = false;
    return {};
}

bool MasterSearch::patient(Instant now) const {
    return last_known_ && !rests_until_.contains(place_of(*last_known_)) &&
           now - *outage_began_ < limits::discovery_patience;
}

bool MasterSearch::is_last_known(const std::string& place) const {
    return last_known_ && place_of(*last_known_) == place;
}

/// The next of this phase that does not rest.
bool MasterSearch::take(Instant now, Step& step) {
    while (!queue_.empty()) {
        const auto master = std::move(queue_.front());
        queue_.pop_front();
        const auto rest = rests_until_.find(place_of(master));
        if (rest != rests_until_.end() && rest->second > now) continue;
        step.kind = Step::Kind::connect;
        step.master = master;
        return true;
    }
    return false;
}

void MasterSearch::heard(const std::vector<FoundMaster>& found) {
    std::map<std::string, FoundMaster> masters;  // by run
    std::map<std::string, std::string> runs;     // by place
    for (const auto& master : found) {
        // One address for two of them: it was restarted while it was asked.
        auto& run = runs.try_emplace(place_of(master.address), master.run).first->second;
        if (run != master.run) masters.erase(std::exchange(run, master.run));
        masters.emplace(master.run, master);
    }
    if (masters.size() > 1) {
        two_masters_ = std::to_string(masters.size()) + " masters answer, " + in_words(masters) +
                       ", and it is not for this slave to choose: stop those that should not "
                       "run, or name the right one with --master";
        return;
    }
    for (const auto& master : found) {
        const auto place = place_of(master.address);
        const bool known = std::any_of(queue_.begin(), queue_.end(),
                                       [&](const auto& other) { return place_of(other) == place; });
        if (!known) queue_.push_back(master.address);
    }
    std::stable_partition(queue_.begin(), queue_.end(),
                          [](const HostPort& master) { return !is_v6(master); });
}

void MasterSearch::could_not_ask(std::string why) {
    ask_failed_ = std::move(why);
}

void MasterSearch::joined(const HostPort& master) {
    last_known_ = master;
    outage_began_.reset();
    in_round_ = false;
}

void MasterSearch::failed(Instant now, const HostPort& master, const std::string& why,
                          Failure how) {
    const auto place = place_of(master);
    // That a name does not exist is no news.
    if (phase_ != Phase::names || how != Failure::unreachable) last_failure_ = place + ": " + why;
    key_refused_ = how == Failure::key_refused && (!last_known_ || is_last_known(place));
    if (how == Failure::key_refused) rests_until_[place] = now + limits::refused_retry;
    if (how == Failure::refused) {
        all_rest_until_ = now + limits::refused_retry;
        in_round_ = false;
        asked_ = false;  // there is nothing else to tell
    }
}

void MasterSearch::forget_refusals() {
    rests_until_.clear();
    all_rest_until_ = {};
    key_refused_ = false;
}

std::string MasterSearch::trouble() const {
    if (!two_masters_.empty()) return two_masters_;
    std::string text;
    if (!last_failure_.empty()) text = last_failure_;
    if (!asked_) return text.empty() ? "the last master does not answer" : text;
    if (!text.empty()) text += "; ";
    text +=
        last_known_ || !last_failure_.empty() ? "no other master is found" : "no master is found";
    for (const auto& name : names_)
        text += (&name == names_.data() ? " under " : " or ") + name.host;
    if (ask_failed_.empty())
        text += ", and none with this slave's key answers on the network";
    else
        text += ", and the network cannot be asked: " + ask_failed_;
    return text + "; --master HOST[:PORT] names one";
}

}  // namespace rpic
