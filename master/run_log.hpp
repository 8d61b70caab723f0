#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "common/clock.hpp"
#include "common/job_messages.hpp"
#include "common/limits.hpp"

namespace rpic {

/// The attempts that run, and those that ended lately, for the task stream of the page. It only
/// looks on: nothing is decided by it. What comes too fast to be shown is counted and left out, so
/// that a cluster of very short tasks costs the viewers no more than one of long ones.
class RunLog {
  public:
    /// An attempt was ordered; one that waits on its node is shown once it runs.
    void ordered(Instant now, const AttemptKey& key, std::string_view node, bool ahead);
    /// Its node says that it runs. It may have been ordered by an earlier master.
    void started(Instant now, const AttemptKey& key, std::string_view node);
    /// Its node says how it ended.
    void ended(Instant now, const AttemptReport& report, std::string_view node);
    /// Of this task only these attempts are still wanted; the others have ended unseen.
    void keep_only(Instant now, std::int64_t job, std::int64_t task,
                   const std::vector<std::int64_t>& attempts);
    /// Whatever ran there is lost.
    void node_lost(Instant now, std::string_view node);

    /// Makes what happened since the last time ready to be told. To be called a few times a second.
    void collect(Instant now);

    struct Run {
        AttemptKey key;
        std::string node;  // name
        std::string state;
        Instant started{};
        Duration duration{-1};  // below 0 while it runs
    };
    /// What was collected behind the number `seen`, oldest first; `seen` becomes the newest number.
    /// False if some of it is forgotten already: then everything() is to be told.
    bool after(std::uint64_t& seen, std::vector<Run>& found) const;
    /// What runs and what ended lately, with the newest number.
    std::vector<Run> everything(std::uint64_t& seen) const;
    std::int64_t skipped() const { return skipped_; }

  private:
    struct Following {
        std::string node;
        Instant started{};
        bool ahead = false;
        bool told = false;
    };
    using Followed = std::map<AttemptKey, Following>;

    void follow(Instant now, const AttemptKey& key, std::string_view node, bool ahead);
    Followed::iterator end_of(Followed::iterator run, std::string_view state, Instant started,
                              Duration duration);
    void put(Run run);

    Followed runs_;                  // limits::runs_known at most
    std::vector<AttemptKey> begun_;  // that run and were not collected yet
    std::vector<Run> over_;          // likewise, those that ended
    std::size_t over_untold_ = 0;    // of these: nobody was told that they ran
    std::size_t told_ = 0;           // of runs_
    std::deque<Run> log_;            // what was collected, the newest limits::shown_runs
    std::uint64_t last_ = 0;         // number of the newest of them
    std::int64_t skipped_ = 0;
};

}  // namespace rpic
