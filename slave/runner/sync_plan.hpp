#pragma once

#include <map>
#include <vector>

#include "common/clock.hpp"
#include "common/job_messages.hpp"

namespace rpic {

/// Which ends of attempts are to reach the disk, and when: pure. One that the master acknowledges
/// soon never has to.
///
/// An end whose result is in files goes in steps: its files are synced, the spool gets a mark that
/// says so, and is synced itself. Only with the mark does it count after a power cut: the record
/// alone may outlast the files, and an empty file would be taken for the result.
class SyncPlan {
  public:
    /// The spool has this end. `files`: its files are not known to be on the disk.
    void add(const AttemptKey& key, Instant ended_at, bool files);
    void remove(const AttemptKey& key) { ends_.erase(key); }
    /// The spool is in a new file, of which nothing is known to be on the disk.
    void on_spool_rewritten();

    /// Whether anything is still to be synced.
    bool pending() const;

    /// Ends whose files are to be synced now; all of those that wait for that, once one of them has
    /// waited for long enough.
    std::vector<AttemptKey> files_due(Instant now) const;
    /// That was tried. Where it failed another try would say that it went well: the kernel tells of
    /// an error once.
    void on_files_tried(const std::vector<AttemptKey>& keys);

    bool spool_due(Instant now) const;
    /// From here on, what is in the spool counts as synced.
    void on_spool_sync();

  private:
    enum class Step { files, spool, nothing };  // what it waits for
    struct End {
        Instant ended_at{};
        Step step = Step::nothing;
    };
    bool any(Step step, Instant ended_before) const;

    std::map<AttemptKey, End> ends_;
};

}  // namespace rpic
