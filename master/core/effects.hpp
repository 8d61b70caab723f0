#pragma once

#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "common/boxed.hpp"
#include "common/job_messages.hpp"
#include "master/core/job_records.hpp"
#include "master/core/node.hpp"

/// What the cluster's decisions ask the world to do. The cluster itself does nothing: it returns
/// these, and apply_effects() carries them out, recording before sending.
namespace rpic {

struct SaveNode {
    Boxed<NodeRecord> record;
};

struct ForgetNode {
    std::string id;
    std::vector<std::string> key_identities;  // these keys are worth nothing from now on
};

/// A key is worth nothing from now on; its node stays.
struct ForgetKey {
    std::string key_identity;
};

/// The connection is to end, after the peer was told why.
struct CloseSession {
    SessionId session = 0;
    std::string code;  // as in Refused
    std::string reason;
};

/// Something that people want to know happened.
struct Announce {
    bool warning = false;
    std::string text;
    // Of one kind about one node or address a line is logged at once, then one a minute.
    std::string kind;
    std::string about;
};

// ---------------------------------------------------------------------------- what must be
// recorded

struct SaveJob {
    JobStatus status;
    std::shared_ptr<const JobSpec> spec;
};

struct SaveJobStatus {
    JobStatus status;
};

/// The task has begun, or something about it changed.
struct SaveTask {
    TaskRecord record;
};

/// The task is as if it had never begun, or has a result.
struct ForgetTask {
    JobId job = 0;
    Position position = 0;
};

struct SaveResult {
    TaskResult result;
    double started_ago_seconds = 0;  // before now; 0: it never ran
    std::string output;              // records
};

// ---------------------------------------------- what is sent once all that came before is recorded

struct OrderStart {
    SessionId session = 0;
    JobId job = 0;
    Position position = 0;
    TaskOrder order;
    double waited_seconds = 0;  // since the job could have started it, or started another one last
};

struct OrderStop {
    SessionId session = 0;
    AttemptKey attempt;
    bool retract = false;
    std::string reason;
};

struct OrderAck {
    SessionId session = 0;
    AttemptKey attempt;
};

struct OrderPower {
    SessionId session = 0;
    std::string action;
};

/// The job has ended: whoever waits for it is told, nodes forget it.
struct JobEnded {
    JobId job = 0;
};

/// For `rpicluster events`.
struct Happened {
    std::string kind;
    std::string node;  // name, or empty
    JobId job = 0;     // 0: none
    std::optional<std::int64_t> task;
    std::string text;
};

using Effect = std::variant<SaveNode, ForgetNode, ForgetKey, CloseSession, Announce, SaveJob,
                            SaveJobStatus, SaveTask, ForgetTask, SaveResult, OrderStart, OrderStop,
                            OrderAck, OrderPower, JobEnded, Happened>;
using Effects = std::vector<Effect>;

}  // namespace rpic
