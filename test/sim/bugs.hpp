#pragma once

#include <cstddef>
#include <string_view>

namespace rpic::sim {

/// A mistake that the simulator must find: what would be wrong if somebody made it. Those in the
/// cores are made by mutations.py in copies of their sources, which this program alone is built
/// from; the others are in the simulator's own layer, which does what the cores decide.
struct Bug {
    std::string_view name;
    std::string_view what;
};

inline constexpr Bug bugs[] = {
    {"ack_before_sync", "orders and acknowledgements leave before their records are on disk"},
    {"answer_before_sync", "a client is answered before its job is on disk"},
    {"torn_batch", "a power cut leaves the first half of a batch in the store"},
    {"no_fencing", "a result of an attempt that is wanted no more is recorded"},
    {"no_idempotency", "a submit that is sent again makes a second job"},
    {"room_ignored", "a node is given a task that has no room there any more"},
    {"kill_time_forgotten", "a lease leaves a node no time to end its tasks"},
    {"stop_too_late", "a node ends the tasks of a lease later than the master believes"},
    {"lease_from_answer", "a lease counts from the answer to a heartbeat, not from its sending"},
    {"lease_not_awaited", "the task of a lost node runs elsewhere before its lease has ended"},
    {"attempt_id_reuse", "the number of a lost attempt is given again after a restart"},
    {"spool_not_durable", "the runner does not write down how attempts end"},
    {"forget_when_sent", "a node forgets an attempt once its report is sent"},
    {"resync_without_ended", "the list of a node's attempts lacks those that have ended"},
    {"no_kill_at_resync", "a node lets attempts go on that the master does not want"},
    {"adopt_anything", "the master adopts at a resync whatever a node has"},
    {"resources_leaked_on_loss", "what ran on a lost node holds its room for ever"},
    {"winner_ends_nobody", "the other attempt of a task that has succeeded is not ended"},
    {"loss_is_forgotten", "what a node has lost in a power cut is not run again"},
    {"loss_uses_retries", "an attempt that is lost counts as a failure of its task"},
    {"drain_ignored", "a node that is drained gets new tasks"},
    {"dependency_released_twice", "a job begins when the first of those before it has ended"},
    {"cancel_forgotten", "a cancelled task of a running job is not written down"},
    {"offered_key_forgotten", "a second greeting of a node voids the key of its first welcome"},
    {"removed_key_lives", "the key of a node that was removed is good for another join"},
    {"removal_keeps_attempts", "what ran on a node that was removed is not run again"},
    {"epoch_not_raised", "a restored backup goes on with the epoch that it was made in"},
    {"job_ids_given_again", "a restored backup goes on with its next job id"},
    {"leases_forgotten_at_restore", "a restored master does not wait for leases of before"},
    {"files_not_brought_again", "a restored master is told of files that only the old one had"},
    {"item_of_neighbour", "the items that a turn has read go to its tasks the wrong way round"},
    {"notification_forgotten", "nobody is notified of the end of a job that was cancelled"},
    {"upload_not_awaited", "an attempt is reported before its files are with the master"},
    {"broken_sync_trusted", "a batch counts as written although the disk reported an error"},
    {"successor_without_slot", "the node starts what waits there beside what runs"},
};

/// The name of a bug above: any other does not compile.
class BugName {
  public:
    consteval BugName(const char* name) {
        for (const auto& bug : bugs) {
            if (bug.name == name) return;
            ++index_;
        }
        throw "there is no such bug in the table";
    }
    int index() const { return index_; }

  private:
    int index_ = 0;
};

inline int active_bug = -1;  // index in the table; -1: none

/// Whether this bug is to be there.
inline bool planted(BugName name) {
    return name.index() == active_bug;
}

}  // namespace rpic::sim
