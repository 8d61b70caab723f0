#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "common/clock.hpp"
#include "common/messages.hpp"
#include "slave/core/attempt_slots.hpp"

namespace rpic {

/// The attempts of one node, from the master's order to the master's acknowledgement: pure. What
/// happens comes in as events with their time; what is to be done goes out as effects, which
/// WorkerRole carries out.
///
///     waiting ---> preparing ---> launching ---> running ---> collecting ---> ended
///     no room      its files      the runner     it runs      its output      waits for
///     for it yet   are on the     starts it                   and files go    the master's
///                  way                                        to the master   acknowledgement
///
/// While the tasks of a job are very short, each that runs has a successor, which the runner has
/// already and starts by itself: a slot would stand empty for as long as such a task takes if this
/// slave were asked in between. The successor is launching, and promised the slot of the other.
///
/// Only what has reached the runner survives this slave, so the runner's list is the truth after a
/// start, and nothing is told to a master before that list is known.
class NodeAttempts {
  public:
    enum class Phase { waiting, preparing, launching, running, collecting, ended };
    /// Of the work folder: made, with the input files in it.
    enum class Files { none, under_way, ready };

    struct Attempt {
        AttemptKey key;
        std::shared_ptr<const NodeJob> job;  // never null
        std::string item;
        Holding holding;
        Phase phase = Phase::waiting;
        Files files = Files::none;
        bool ahead = false;
        bool discard = false;                 // nobody wants its result any more
        bool stop = false;                    // it is to end, for ...
        std::string stop_reason;              // ... this reason
        bool stop_told = false;               // the runner knows that
        bool by_runner = false;               // the runner has it until it is told to forget it
        std::optional<AttemptKey> promised;   // the slot of this one; it has none so far
        std::optional<AttemptKey> successor;  // who is promised its slot
        bool told_started = false;            // to the master
        bool reported = false;                // to the master, on this connection
        bool output_here = false;             // its inline output is in memory
        bool gathering = false;               // its output or files are being brought together
        bool gather_again = false;            // ... to a master that has not got them any more
        Instant launched_at{};
        Instant ended_at{};
        AttemptReport report;     // once it has ended
        std::string output_file;  // likewise: the output, where it is not inline

        bool not_launched() const { return phase == Phase::waiting || phase == Phase::preparing; }
        bool with_runner() const { return phase == Phase::launching || phase == Phase::running; }
        bool has_slot() const { return phase == Phase::preparing || (with_runner() && !promised); }
        bool has_lease() const { return job->stop_after_seconds > 0; }
        /// Whether its report goes with output behind the message.
        bool has_inline_output() const { return report.output_bytes > 0 && output_file.empty(); }
        /// Whether files of it come back: from every task that ran to an end of its own, also one
        /// that failed, since people look for the reason in them.
        bool brings_files() const;
    };

    /// What the runner has of an attempt. `job` is what an earlier slave wrote down of it; of one
    /// that is known here it may be null.
    struct Seen {
        AttemptKey key;
        bool ended = false;
        double running_seconds = 0;
        std::shared_ptr<const NodeJob> job;
        AttemptReport report;
        std::string output_file;
    };

    // Effects. The attempt itself is looked up with find().

    /// Make the work folder and put the input files into it; on_prepared() or on_not_prepared().
    struct Prepare {
        AttemptKey key;
    };
    struct Launch {
        AttemptKey key;
        std::optional<AttemptKey> after;  // once this one has ended; nothing: at once
    };
    /// The runner need not wait any more with this one, which it has.
    struct StartNow {
        AttemptKey key;
    };
    struct Kill {
        AttemptKey key;
        std::string reason;
    };
    /// Fetch the inline output from the runner, if it is not here; bring the output file and the
    /// wanted files to the master; on_collected().
    struct Collect {
        AttemptKey key;
    };
    /// Its inline output need not be kept in memory; it can be fetched again.
    struct DropOutput {
        AttemptKey key;
    };
    /// The runner may forget it.
    struct Forget {
        AttemptKey key;
    };
    struct RemoveFolder {
        AttemptKey key;
    };
    struct ExtendLease {
        Instant sent_at{};
    };
    struct SendResync {
        std::vector<AttemptState> attempts;
    };
    struct SendStarted {
        std::vector<AttemptKey> attempts;
    };
    struct SendRetracted {
        std::vector<AttemptKey> attempts;
    };
    /// Its report, with the inline output if there is one.
    struct SendReport {
        AttemptKey key;
    };
    struct EndLink {
        std::string reason;
    };
    using Effect =
        std::variant<Prepare, Launch, StartNow, Kill, Collect, DropOutput, Forget, RemoveFolder,
                     ExtendLease, SendResync, SendStarted, SendRetracted, SendReport, EndLink>;
    using Effects = std::vector<Effect>;

    explicit NodeAttempts(Holding capacity) : slots_(std::move(capacity)) {}

    // The link to the master.
    void on_joined(Instant now, Effects& effects);
    /// Before that, if the master was restored from a backup since this node was there: it may not
    /// have what was brought to it.
    void on_master_restored(Effects& effects);
    void on_disconnected();
    void on_resynced(Instant now, const Resynced& answer, Effects& effects);
    void on_orders(Instant now, const StartTasks& orders, Effects& effects);
    void on_stop(Instant now, const StopAttempts& stop, Effects& effects);
    void on_acknowledged(Instant now, const AckAttempts& ack, Effects& effects);
    void on_drop_job(const DropJob& drop) { jobs_.erase(drop.job); }
    /// The master has acknowledged a heartbeat that was sent at this time. Before the resync that
    /// means nothing: it may have given the attempts to others.
    void on_heartbeat_acknowledged(Instant sent_at, Effects& effects);

    // The runner.
    /// There is none, and none has left anything: nothing of an earlier slave runs.
    void on_no_runner(Instant now, Effects& effects);
    void on_attached(Instant now, const std::vector<Seen>& all, Effects& effects);
    void on_runner_gone();
    void on_launched(Instant now, const AttemptKey& key, Effects& effects);
    /// `output_here`: its whole output came along.
    void on_ended(Instant now, const Seen& seen, bool output_here, Effects& effects);

    // The disk.
    void on_prepared(Instant now, const AttemptKey& key, Effects& effects);
    /// `outcome` is node if the node is to blame, cannot_execute if the job is.
    void on_not_prepared(Instant now, const AttemptKey& key, const std::string& outcome,
                         const std::string& reason, Effects& effects);
    struct Collected {
        bool output_here = false;  // the inline output is in memory
        std::string output_blob;
        std::string files;
        std::string trouble;  // what could not be collected, and why; empty: nothing is missing
    };
    void on_collected(const AttemptKey& key, const Collected& collected, Effects& effects);

    void on_tick(Instant now, Effects& effects);
    /// When on_tick() has something to do; nothing: not before the next event.
    std::optional<Instant> next_tick() const;

    /// All of them, in the order of their keys, as a master is told.
    std::vector<AttemptState> states() const;

    const Attempt* find(const AttemptKey& key) const;
    /// The newest attempt of a task that is here.
    const Attempt* find_newest(std::int64_t job, std::int64_t task) const;
    std::size_t size() const { return attempts_.size(); }
    bool resynced() const { return resynced_; }
    const AttemptSlots& slots() const { return slots_; }

  private:
    static Holding holding_of(const NodeJob& job);
    Attempt* look(const AttemptKey& key);
    void send_resync_if_due(Instant now, Effects& effects);
    void order(Instant now, std::int64_t job, const TaskOrder& order, Effects& effects);
    void admit(Instant now, Effects& effects);
    void fill_slots(Instant now, Effects& effects);
    void promise_slots(Effects& effects);
    void take_promised_slot(Attempt& attempt);
    void leave_slot(Attempt& attempt);
    void note_length(const Attempt& attempt);
    void start(Instant now, Attempt& attempt, Effects& effects);
    void launch_if_ready(Instant now, Attempt& attempt, Effects& effects);
    bool lease_expired(Instant now, const Attempt& attempt) const;
    void stop_one(Instant now, Attempt& attempt, const std::string& reason, Effects& effects);
    void kill(Attempt& attempt, const std::string& reason, Effects& effects);
    void discard(Attempt& attempt, Effects& effects);
    void adopt(Instant now, const Seen& seen, Effects& effects);
    void end_by_runner(Instant now, Attempt& attempt, const Seen& seen, bool output_here,
                       Effects& effects);
    void end_here(Instant now, Attempt& attempt, const std::string& outcome,
                  const std::string& reason, Effects& effects);
    void abandon_collecting(Attempt& attempt, const std::string& reason, Effects& effects);
    void hold_output(Attempt& attempt, bool here);
    void release_output(Attempt& attempt);
    void drop_output(Attempt& attempt, Effects& effects);
    void drop_output_if_too_much(Attempt& attempt, Effects& effects);
    void report(Attempt& attempt, Effects& effects);
    void forget(Attempt& attempt, Effects& effects);

    AttemptSlots slots_;
    std::map<AttemptKey, Attempt> attempts_;
    std::map<std::int64_t, std::shared_ptr<const NodeJob>> jobs_;  // told on this connection
    std::deque<AttemptKey> due_;    // without room, though the master believes that there is
    std::deque<AttemptKey> ahead_;  // queued ahead
    std::deque<AttemptKey> promised_;
    std::set<AttemptKey> without_successor_;             // of those that the runner has
    std::int64_t short_job_ = 0;                         // whose last task was very short; 0: none
    std::deque<std::pair<Instant, AttemptKey>> starts_;  // when to tell that they run
    std::set<AttemptKey> forget_later_;  // forgotten here while no runner was attached
    std::optional<Instant> lease_from_;  // the newest proof that the master has heard this node
    Instant resync_sent_at_{};
    std::size_t held_bytes_ = 0;  // of inline outputs in memory that wait for a link
    bool joined_ = false;
    bool resync_sent_ = false;
    bool resynced_ = false;
    bool runner_known_ = false;
    bool attached_ = false;
};

}  // namespace rpic
