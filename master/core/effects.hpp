#pragma once

#include <string>
#include <variant>
#include <vector>

#include "master/core/node.hpp"

/// What the cluster's decisions ask the world to do. The cluster itself does nothing: it returns
/// these, and apply_effects() carries them out, recording before sending.
namespace rpic {

struct SaveNode {
    NodeRecord record;
};

struct ForgetNode {
    std::string id;
    std::string key_identity;  // this key is worth nothing from now on
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

using Effect = std::variant<SaveNode, ForgetNode, ForgetKey, CloseSession, Announce>;
using Effects = std::vector<Effect>;

}  // namespace rpic
