#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "common/clock.hpp"
#include "common/messages.hpp"
#include "common/wakeup.hpp"
#include "slave/web/vitals_history.hpp"

namespace rpic {

/// An attempt of the task stream, with times on this machine's clock.
struct Run {
    using Key = std::tuple<std::int64_t, std::int64_t, std::int64_t>;  // job, task, attempt
    Key key;
    std::string node;
    std::string state;
    Instant started{};
    std::optional<Instant> ended;
};

/// What changed since somebody last took note.
struct ViewChanges {
    std::set<std::string> nodes;  // ids; of those that are gone, too
    std::set<std::int64_t> jobs;  // likewise
    std::map<Run::Key, Run> runs;
    std::vector<EventView> events;
    bool master = false;
    bool everything = false;  // a new picture: the rest does not matter
};

/// What the webserver knows of the cluster: filled by the webserver role from what the master
/// tells, read by the HTTP sessions. It lives on the one loop of the slave; no locks.
///
/// Whatever is put here is told to waiting sessions by touch(), once for many of them.
class ClusterView {
  public:
    enum class Part { nodes, jobs, runs, events, master };

    explicit ClusterView(const boost::asio::any_io_executor& executor);

    const std::string stream;  // random: tells the event ids of this process from those before
    const Instant started;     // what is told as seconds counts from here

    bool starting = true;    // neither a first picture yet, nor a reason why there is none
    bool connected = false;  // the link to the master is up and the first picture is complete
    std::string master;      // HOST:PORT that the slave is connected to or tries to reach
    std::string trouble;     // why there is no link, in words; empty while connected
    std::optional<MasterView> master_view;  // last known
    std::optional<MetricsChanged> metrics;  // likewise
    std::map<std::string, NodeView> nodes;  // by node id; last known
    std::map<std::string, Instant> told;    // by node id: when `nodes` learnt of it, which its
                                            // last_seen_seconds counts from
    std::map<std::int64_t, JobView> jobs;   // limits::shown_jobs
    std::map<Run::Key, Run> runs;           // limits::shown_runs
    std::deque<EventView> events;           // limits::shown_events
    std::int64_t skipped_runs = 0;
    VitalsHistory history;           // goes on across links to the master
    std::optional<Instant> updated;  // when the master last told something
    std::uint64_t version = 0;       // grows with every change
    Wakeup changed;                  // woken with every change

    std::uint64_t version_of(Part part) const { return parts_[static_cast<std::size_t>(part)]; }

    /// What the master told about a node, now.
    void put_node(NodeView node, Instant now);
    void forget_node(const std::string& id);
    void put_job(JobView job);
    void forget_job(const std::string& id);
    void put_run(const RunView& run, Instant now);
    /// All runs come anew: viewers get a new picture.
    void forget_runs();
    void put_event(EventView event);
    /// Something about the master, or about the link to it.
    void touch_master() { mark(Part::master).master = true; }
    /// All that is known comes anew.
    void begin_anew();

    /// Forgets the runs that are over for limits::shown_run_time, and those that are too many.
    void drop_old_runs(Instant now);

    /// The same, and what is too old of the vitals. To be called a few times a second.
    void drop_old(Instant now);

    /// To be called after any change.
    void touch() {
        ++version;
        changed.notify();
    }

    ViewChanges take_changes();

  private:
    ViewChanges& mark(Part part);

    std::array<std::uint64_t, 5> parts_{};
    ViewChanges changes_;
    Instant cleaned_{};  // the history, last
};

}  // namespace rpic
