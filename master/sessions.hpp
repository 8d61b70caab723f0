#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/connection.hpp"
#include "common/messages.hpp"
#include "master/core/job_records.hpp"
#include "master/core/node.hpp"

namespace rpic {

/// The connections of the master by number, so that one session's turn can reach another's peer. A
/// session belongs to its coroutine; here it is only known while it lives.
class Sessions {
  public:
    /// What a webserver knows besides the nodes (viewers.hpp).
    struct Shown {
        bool begun = false;  // it has the first picture
        std::uint64_t jobs_version = 0;
        std::set<JobId> jobs;
        std::map<std::string, std::pair<std::size_t, std::size_t>> busy;  // node -> attempts there
        std::uint64_t runs_seen = 0;
        std::int64_t runs_skipped = 0;
        std::int64_t events_seen = 0;
        Instant metrics_told{};
    };

    struct Session {
        Connection* connection = nullptr;
        bool encrypted = false;          // understands `refused`
        std::string key_identity;        // of a client: its session ends with its key
        bool watching = false;           // is told about changes of nodes
        bool complete = false;           // a watcher that has the first picture
        std::uint64_t seen = 0;          // version of the cluster that a watcher knows
        std::uint64_t walk_version = 0;  // the same once the walk over the nodes is over ...
        std::string walked;              // ... which has come to this id; empty: none is under way
        Instant master_told{};           // when a watcher was last told about the master
        Shown shown;
        std::set<std::int64_t> known_jobs;  // of a worker: it was told what these jobs are
    };

    class Place {
      public:
        Place(Sessions& sessions, Connection& connection, bool encrypted)
            : sessions_(sessions), id_(++sessions.last_) {
            auto& session = sessions_.sessions_[id_];
            session.connection = &connection;
            session.encrypted = encrypted;
        }
        ~Place() { sessions_.sessions_.erase(id_); }
        Place(const Place&) = delete;
        Place& operator=(const Place&) = delete;

        SessionId id() const { return id_; }
        Session& session() const { return sessions_.sessions_.at(id_); }

      private:
        Sessions& sessions_;
        SessionId id_;
    };

    std::map<SessionId, Session>& all() { return sessions_; }
    Session* find(SessionId id) {
        const auto found = sessions_.find(id);
        return found == sessions_.end() ? nullptr : &found->second;
    }

    /// Tells the peer why, as far as it understands that, and ends its connection.
    void end(SessionId id, std::string_view code, std::string_view reason) {
        const auto found = sessions_.find(id);
        if (found == sessions_.end()) return;
        auto& connection = *found->second.connection;
        Refused refused;
        refused.code = code;
        refused.reason = reason;
        if (found->second.encrypted) connection.send(refused);
        connection.end(reason);
    }

    /// The same for the clients of a key, but one.
    void end_clients_of(std::string_view key_identity, SessionId except, std::string_view reason) {
        std::vector<SessionId> ids;
        for (const auto& [id, session] : sessions_)
            if (session.key_identity == key_identity && id != except) ids.push_back(id);
        for (const auto id : ids) end(id, "removed", reason);
    }

  private:
    std::map<SessionId, Session> sessions_;
    SessionId last_ = 0;
};

}  // namespace rpic
