#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <variant>
#include <vector>

#include "common/messages.hpp"
#include "master/core/effects.hpp"
#include "master/core/node.hpp"

namespace rpic {

/// Who is told what the cluster decides about nodes that may run tasks.
class NodeListener {
  public:
    virtual ~NodeListener() = default;
    virtual void on_node_silent(Instant now, const Node& node, Effects& effects) = 0;
    virtual void on_node_lost(Instant now, const Node& node, Effects& effects) = 0;
    /// Its records or labels changed.
    virtual void on_node_changed(const Node& node) = 0;
    /// The node goes away for good with the end of this call.
    virtual void on_node_removed(Instant now, const Node& node, Effects& effects) = 0;
};

/// Who is in the cluster: a pure state machine. Events come in with the time at which they
/// happened, effects go out; there is no socket, clock, file or random number inside.
class Cluster {
  public:
    struct Timers {
        Duration suspect_after;
        Duration lost_after;
        Duration lost_after_start;  // for nodes known from before the master's start
    };

    /// What a new node would be called and by which key it would be known, made by the caller
    /// because the cluster is no source of chance.
    struct Fresh {
        std::string node_id;
        std::string key_identity;
    };

    /// The key of a connection, and the node that it belongs to; both empty if that was the join
    /// key.
    struct KeyUsed {
        std::string_view node_id;
        std::string_view identity;
    };

    struct Joined {
        std::string node_id;
        std::string name;
        bool with_new_key = false;  // Fresh::key_identity is the node's now
        bool clone = false;         // of a live node, whose key it came with
    };
    struct Refusal {
        std::string code;  // as in Refused
        std::string reason;
    };
    using JoinOutcome = std::variant<Joined, Refusal>;

    Cluster(Timers timers, Instant started, const HealthLimits& health = {})
        : timers_(timers), started_(started), health_(health) {}

    void set_listener(NodeListener* listener) { listener_ = listener; }

    /// A node from the store, before anything else happens.
    void restore(NodeRecord record);

    /// A node said hello.
    JoinOutcome on_hello(Instant now, SessionId session, const KeyUsed& used, const Hello& hello,
                         std::string_view address, const Fresh& fresh, Effects& effects);
    void on_key_stored(SessionId session, Effects& effects);
    /// The node is about to reboot, or to switch itself off: it is not told again.
    void on_power_taken(SessionId session, std::string_view action, Effects& effects);

    /// A plain peer sent its first valid frame.
    JoinOutcome on_plain_hello(Instant now, SessionId session, std::string_view address,
                               std::string_view fresh_id, Effects& effects);
    void on_plain_details(Instant now, SessionId session, const MachineFacts& machine,
                          std::optional<double> cpu_percent, Effects& effects);

    /// Any byte proves life.
    void on_heard(Instant now, SessionId session, Effects& effects);
    void on_vitals(Instant now, SessionId session, const Vitals& vitals, Effects& effects);
    void on_disconnected(Instant now, SessionId session, std::string_view reason, Effects& effects);

    /// Judges silence. To be called a few times a second.
    void on_tick(Instant now, Effects& effects);

    /// An admin removes a node; false if there is none of that name or id.
    bool remove(Instant now, std::string_view name_or_id, Effects& effects);

    // What an admin, or the one who gives work, changes about a node. `id` must be that of one.
    /// The end of it also ends the wait for a reboot. `time`: after it tasks are moved; 0: never.
    void set_draining(std::string_view id, bool draining, Effects& effects, Duration time = {});
    void drain_time_over(std::string_view id, Effects& effects);
    /// `boot`: that in which it is ordered; empty: it is not yet.
    void set_power(std::string_view id, std::string_view action, std::string_view boot,
                   Effects& effects);
    /// Empty ends it.
    void quarantine(std::string_view id, std::string_view why, Effects& effects);
    /// An empty value removes a label. False if there would be too many.
    bool set_labels(std::string_view id, const std::map<std::string, std::string>& labels,
                    Effects& effects);

    const Node* find(std::string_view name_or_id) const;
    const Node* find_session(SessionId session) const;
    const std::map<std::string, std::unique_ptr<Node>>& nodes() const { return nodes_; }
    std::map<std::string, std::int64_t> count_by_state() const;

    /// Grows with every change that viewers see.
    std::uint64_t version() const { return version_; }
    /// Ids of the nodes that went away after version `since`; nothing if that is too long ago to
    /// know.
    std::optional<std::vector<std::string>> gone_since(std::uint64_t since) const;

  private:
    Node& add(NodeRecord record);
    Node* node_of(SessionId session);
    std::string unique_name(const std::string& wish) const;
    void rename(Node& node, const std::string& wish);
    void attach(Node& node, Instant now, SessionId session, std::string_view address,
                Effects& effects);
    void set_state(Node& node, NodeState state, std::string_view why, Effects& effects);
    void touch(Node& node) { node.changed = ++version_; }
    void forget(std::string id);  // by value: it may be the id in the node that goes
    Node* earlier_self(const Hello& hello);
    void offer(Node& node, const std::string& key_identity, Effects& effects);
    void confirm(Node& node, const std::string& key_identity, Effects& effects);
    void forget_plain(Instant now);
    void replace_plain_predecessor(const Node& node);

    static void announce_health(const Node& node, Health::Change change, Effects& effects);
    void changed(Node& node, Effects& effects);

    NodeListener* listener_ = nullptr;
    Timers timers_;
    Instant started_;
    HealthLimits health_;
    std::map<std::string, std::unique_ptr<Node>> nodes_;  // by id
    std::unordered_map<std::string, Node*> by_name_;
    std::unordered_map<SessionId, Node*> by_session_;
    std::deque<std::string> plain_disconnected_;  // ids of nodes_, oldest first
    std::size_t plain_nodes_ = 0;
    std::uint64_t version_ = 0;
    struct Gone {
        std::uint64_t version;
        std::string id;
    };
    std::deque<Gone> gone_;
    std::uint64_t gone_known_since_ = 0;
};

}  // namespace rpic
