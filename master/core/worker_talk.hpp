#pragma once

#include <string_view>
#include <vector>

#include "common/job_messages.hpp"
#include "master/core/jobs.hpp"

namespace rpic {

/// What a worker says about its attempts on one connection, on its way to Jobs: nothing means
/// anything before its list of attempts is known. Pure.
class WorkerTalk {
  public:
    WorkerTalk(const Cluster& cluster, Jobs& jobs, SessionId session)
        : cluster_(cluster), jobs_(jobs), session_(session) {}

    /// Pages of one list are taken together: the books are brought in line in one go. The answer,
    /// in messages that fit into frames; empty until the list is complete. Throws
    /// DisconnectionError.
    std::vector<Resynced> on_resync(Moment now, const Resync& page, Effects& effects);
    bool resynced() const { return resynced_; }

    // False, and nothing happens, before the resync.
    bool on_started(Moment now, const AttemptsStarted& started);
    bool on_retracted(Moment now, const AttemptsRetracted& retracted, Effects& effects);
    /// `outputs` is what came behind the message. Throws BadMessageError.
    bool on_ended(Moment now, const AttemptsEnded& ended, std::string_view outputs,
                  Effects& effects);

  private:
    const Cluster& cluster_;
    Jobs& jobs_;
    SessionId session_;
    bool resynced_ = false;
    std::vector<AttemptState> attempts_;  // of the pages so far
};

}  // namespace rpic
