#pragma once

#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/clock.hpp"
#include "common/text.hpp"

namespace rpic {

/// A master that answered a question (common/discovery.hpp) and has proved that it knows the key.
struct FoundMaster {
    std::string cluster;
    std::string run;  // one start of one master: the same for all of its addresses
    HostPort address;
};

/// Where a slave looks for its master when nobody has named one. In rounds: the last one that it
/// joined, then host names that a network may know, then whoever answers on the network. What has
/// refused this slave rests for limits::refused_retry. In the first limits::discovery_patience of
/// an outage only the last master is tried, which has most likely just been restarted. Pure.
class MasterSearch {
  public:
    struct Step {
        enum class Kind {
            connect,  // to `master`, and then joined() or failed()
            ask,      // the network, and then heard()
            wait,     // the round is over without success, trouble() says how
        };
        Kind kind = Kind::wait;
        HostPort master;
        Duration rest{};  // of `wait`: no round begins sooner
    };

    enum class Failure {
        unreachable,  // or the link ended
        key_refused,  // by the master, or by a stranger who has its address now
        refused,      // by the master for another reason, at all of its addresses
    };

    MasterSearch(std::optional<HostPort> last_known, std::vector<HostPort> names);

    Step next(Instant now);

    /// Who answered. Several addresses of one master are tried in turn, IPv4 first. Of two masters
    /// none is tried: nobody but a person knows which of them is the right one.
    void heard(const std::vector<FoundMaster>& found);
    /// The question could not be asked.
    void could_not_ask(std::string why);

    void joined(const HostPort& master);
    void failed(Instant now, const HostPort& master, const std::string& why, Failure how);

    /// Why the last round found nothing, in one sentence.
    std::string trouble() const;

    /// Whether the last attempt failed because this slave's key was refused by the master that it
    /// knows, or by whoever else if it knows none: others may be strangers.
    bool key_refused() const { return key_refused_; }
    /// There is another key to try: nobody rests any more.
    void forget_refusals();

  private:
    enum class Phase { last_known, names, ask, found };

    bool patient(Instant now) const;
    bool is_last_known(const std::string& place) const;
    bool take(Instant now, Step& step);
    void begin_round(Instant now);
    Step end_round();

    std::optional<HostPort> last_known_;
    std::vector<HostPort> names_;
    Phase phase_ = Phase::last_known;
    bool in_round_ = false;
    bool asked_ = false;
    bool key_refused_ = false;
    std::optional<Instant> outage_began_;
    std::deque<HostPort> queue_;  // of this phase
    std::map<std::string, Instant> rests_until_;
    Instant all_rest_until_{};
    std::string two_masters_;  // what is wrong if there are
    std::string ask_failed_;
    std::string last_failure_;  // of the last known or a found one
};

}  // namespace rpic
