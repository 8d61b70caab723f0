#pragma once

#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "common/limits.hpp"
#include "master/core/cluster.hpp"

/// A cluster with its surroundings, for tests: the time, fresh ids, and the effects of the last
/// event in words, so that one comparison says both what happened and that nothing else did.
namespace rpic::test {

using namespace std::chrono_literals;
using Lines = std::vector<std::string>;

inline Hello hello_of(const std::string& name, const std::string& fingerprint) {
    Hello hello;
    hello.version = "1.0.0";
    hello.role = "worker";
    hello.name = name;
    hello.fingerprint = fingerprint;
    hello.boot_id = "boot of " + fingerprint;
    hello.machine.hostname = name;
    hello.machine.cpu_cores = 4;
    hello.cpus = 4;
    hello.labels["room"] = "attic";
    return hello;
}

inline std::string words(const Effect& effect) {
    if (const auto* save = std::get_if<SaveNode>(&effect))
        return "save " + save->record->id + " " + save->record->name +
               (save->record->confirmed ? "" : " unconfirmed");
    if (const auto* gone = std::get_if<ForgetNode>(&effect)) {
        auto line = "forget " + gone->id;
        for (const auto& identity : gone->key_identities) line += " " + identity;
        return line;
    }
    if (const auto* key = std::get_if<ForgetKey>(&effect)) return "forget key " + key->key_identity;
    if (const auto* close = std::get_if<CloseSession>(&effect))
        return "close " + std::to_string(close->session) + " " + close->code + ": " + close->reason;
    const auto& announce = std::get<Announce>(effect);
    return (announce.warning ? "warn: " : "info: ") + announce.text;
}

class World {
  public:
    World() = default;

    /// A node with the join key; the result is what it was told, "ID NAME" or "CODE: REASON", with
    /// " +key" if a key is made for it.
    std::string join(SessionId session, const Hello& hello, const std::string& address = "a:1") {
        return hello_with({}, session, hello, address);
    }

    /// The same with the key of node `id`, or with `key`, one of those that it was given.
    std::string rejoin(const std::string& id, SessionId session, const Hello& hello,
                       const std::string& address = "a:1", std::string key = "") {
        const auto* known = cluster.find(id);
        if (key.empty() && known != nullptr) key = known->record.key_identity;
        return hello_with({id, key}, session, hello, address);
    }

    std::string plain(SessionId session, const std::string& address) {
        effects_.clear();
        const auto id = "plain" + std::to_string(++fresh_) + "...";
        return told(cluster.on_plain_hello(now, session, address, id, effects_));
    }

    void plain_details(SessionId session, const std::string& hostname, double cpu_percent = 5) {
        effects_.clear();
        MachineFacts machine;
        machine.hostname = hostname;
        cluster.on_plain_details(now, session, machine, cpu_percent, effects_);
    }

    void key_stored(SessionId session) {
        effects_.clear();
        cluster.on_key_stored(session, effects_);
    }
    void heard(SessionId session) {
        effects_.clear();
        cluster.on_heard(now, session, effects_);
    }
    void vitals(SessionId session, const Vitals& vitals) {
        effects_.clear();
        cluster.on_vitals(now, session, vitals, effects_);
    }
    void disconnected(SessionId session, const std::string& reason = "gone") {
        effects_.clear();
        cluster.on_disconnected(now, session, reason, effects_);
    }
    void tick() {
        effects_.clear();
        cluster.on_tick(now, effects_);
    }
    bool remove(const std::string& name_or_id) {
        effects_.clear();
        return cluster.remove(now, name_or_id, effects_);
    }

    /// Every effect of the last event, in order, but for what happened() tells.
    Lines effects() const {
        Lines lines;
        for (const auto& effect : effects_)
            if (!std::holds_alternative<Happened>(effect)) lines.push_back(words(effect));
        return lines;
    }

    /// What people are told of it, as "KIND NODE".
    Lines happened() const {
        Lines lines;
        for (const auto& effect : effects_)
            if (const auto* told = std::get_if<Happened>(&effect))
                lines.push_back(told->kind + ' ' + told->node);
        return lines;
    }

    /// The node saved by the last event.
    NodeRecord saved() const {
        for (const auto& effect : effects_)
            if (const auto* save = std::get_if<SaveNode>(&effect)) return *save->record;
        FAIL("no node was saved");
        return {};
    }

    const Node& node(const std::string& name_or_id) const {
        const auto* found = cluster.find(name_or_id);
        INFO("looking for " << name_or_id);
        REQUIRE(found != nullptr);
        return *found;
    }

    std::string state(const std::string& name_or_id) const {
        return std::string(state_name(node(name_or_id).state));
    }

    Instant now{1000s};
    Effects scratch;  // of what no test looks at
    Cluster cluster{{limits::suspect_after, limits::lost_after, limits::lost_after_master_start},
                    Instant{1000s}};

  private:
    std::string hello_with(const Cluster::KeyUsed& used, SessionId session, const Hello& hello,
                           const std::string& address) {
        effects_.clear();
        const auto number = std::to_string(++fresh_);
        return told(cluster.on_hello(now, session, used, hello, address,
                                     {"id" + number, "key" + number}, effects_));
    }

    static std::string told(const Cluster::JoinOutcome& outcome) {
        if (const auto* refusal = std::get_if<Cluster::Refusal>(&outcome))
            return refusal->code + ": " + refusal->reason;
        const auto& joined = std::get<Cluster::Joined>(outcome);
        return joined.node_id + " " + joined.name + (joined.with_new_key ? " +key" : "");
    }

    Effects effects_;
    int fresh_ = 0;
};

/// A node that joined, has its key on disk, and whose connection is session 1.
inline World with_one_node() {
    World world;
    REQUIRE(world.join(1, hello_of("pi", "board 1")) == "id1 pi +key");
    world.key_stored(1);
    return world;
}

}  // namespace rpic::test
