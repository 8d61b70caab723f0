#include "master/core/cluster.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "common/limits.hpp"
#include "common/text.hpp"

namespace rpic {

namespace {

constexpr std::size_t gone_remembered = 1024;

std::string cut(std::string_view text) {
    return printable(text, limits::text_chars);
}

/// What a peer says of its machine, cut to what we keep.
MachineFacts bounded(const MachineFacts& told) {
    MachineFacts facts = told;
    for (auto* text : {&facts.hostname, &facts.arch, &facts.kernel_arch, &facts.cpu, &facts.os,
                       &facts.kernel, &facts.board, &facts.serial})
        *text = cut(*text);
    facts.cpu_cores = std::clamp<std::int64_t>(facts.cpu_cores, 0, 65'536);
    facts.ram_bytes = std::max<std::int64_t>(facts.ram_bytes, 0);
    return facts;
}

std::map<std::string, std::string> bounded(const std::map<std::string, std::string>& told) {
    std::map<std::string, std::string> labels;
    std::size_t bytes = 0;
    for (const auto& [key, value] : told) {
        auto kept_key = cut(key);
        auto kept_value = cut(value);
        bytes += kept_key.size() + kept_value.size();
        if (bytes <= limits::labels_bytes) labels[std::move(kept_key)] = std::move(kept_value);
    }
    return labels;
}

Vitals bounded(const Vitals& told) {
    Vitals vitals = told;
    if (vitals.cpu_percent && std::isnan(*vitals.cpu_percent)) vitals.cpu_percent.reset();
    if (vitals.cpu_percent) vitals.cpu_percent = std::clamp(*vitals.cpu_percent, 0.0, 100.0);
    if (vitals.ram_available_bytes && *vitals.ram_available_bytes < 0)
        vitals.ram_available_bytes.reset();
    if (vitals.load_1m && !(*vitals.load_1m >= 0 && *vitals.load_1m < 1e6)) vitals.load_1m.reset();
    if (vitals.temperature_c && !(*vitals.temperature_c > -60 && *vitals.temperature_c < 200))
        vitals.temperature_c.reset();
    vitals.network = cut(vitals.network);
    for (auto* percent : {&vitals.pressure_cpu, &vitals.pressure_memory, &vitals.pressure_io})
        if (*percent && !(**percent >= 0 && **percent <= 100)) percent->reset();
    for (auto* count :
         {&vitals.swap_bytes, &vitals.swap_used_bytes, &vitals.cpu_mhz_max, &vitals.cpu_mhz_limit,
          &vitals.disk_bytes, &vitals.disk_free_bytes, &vitals.disk_errors, &vitals.network_mbps,
          &vitals.network_received_bytes, &vitals.network_sent_bytes, &vitals.network_errors})
        if (*count && **count < 0) count->reset();
    return vitals;
}

/// The record that a hello makes of another: what is durable of it. Names are given elsewhere.
void update(NodeRecord& record, const Hello& hello) {
    record.role = hello.role;
    record.fingerprint = cut(hello.fingerprint);
    record.version = cut(hello.version);
    record.machine = bounded(hello.machine);
    record.cpus = std::clamp<std::int64_t>(hello.cpus, 0, 65'536);
    record.memory_bytes = std::max<std::int64_t>(hello.memory_bytes, 0);
    record.labels = bounded(hello.labels);
    record.resources.clear();
    for (const auto& [name, count] : hello.resources)
        if (record.resources.size() < limits::node_resources && count > 0)
            record.resources[cut(name)] = count;
    record.isolation = cut(hello.isolation);
}

bool has_key(const NodeRecord& record, std::string_view identity) {
    const auto& offered = record.offered_keys;
    return record.key_identity == identity ||
           std::find(offered.begin(), offered.end(), identity) != offered.end();
}

std::string wish_of(const Hello& hello) {
    const auto wish = node_name(hello.name);
    return wish.empty() ? "node" : wish;
}

/// NAME, NAME-2, NAME-3 ...
std::string numbered_name(const std::string& wish, int number) {
    if (number == 1) return wish;
    const auto suffix = "-" + std::to_string(number);
    return wish.substr(0, limits::name_chars - suffix.size()) + suffix;
}

/// Something about a node that people should look at.
void warn(const std::string& kind, const Node& node, const std::string& text, Effects& effects) {
    effects.push_back(Happened{"node_" + kind, node.record.name, 0, std::nullopt, text});
    effects.push_back(Announce{true, text, kind, node.record.id});
}

}  // namespace

void Cluster::restore(NodeRecord record) {
    Node& node = add(std::move(record));
    node.state = NodeState::suspect;
    touch(node);
}

Cluster::JoinOutcome Cluster::on_hello(Instant now, SessionId session, const KeyUsed& used,
                                       const Hello& hello, std::string_view address,
                                       const Fresh& fresh, Effects& effects) {
    if (hello.role != "worker" && hello.role != "basic" && hello.role != "webserver")
        return Refusal{"role", "unknown role \"" + cut(hello.role) + "\""};
    Node* node = nullptr;
    Node* original = nullptr;  // of a copied card
    if (!used.node_id.empty()) {
        const auto known = nodes_.find(std::string(used.node_id));
        if (known == nodes_.end()) return Refusal{"removed", "this node was removed"};
        node = known->second.get();
        if (!has_key(node->record, used.identity))
            return Refusal{"removed", "this node has another key by now"};
        const bool other_board = node->record.fingerprint != cut(hello.fingerprint);
        const bool spoke_lately =
            node->session != 0 && node->last_heard && now - *node->last_heard < timers_.lost_after;
        if (other_board && spoke_lately) original = std::exchange(node, nullptr);
    }
    const bool known = node != nullptr;
    if (!known) node = earlier_self(hello);
    if (!known && node != nullptr) {
        if (node->record.confirmed)
            warn("reimaged", *node,
                 "node " + node->record.name +
                     " joins anew from the same board (a card that was "
                     "written anew?): its earlier key is worthless now",
                 effects);
        offer(*node, fresh.key_identity, effects);
    }
    if (node == nullptr) {
        if (nodes_.size() - plain_nodes_ >= limits::nodes)
            return Refusal{
                "full", "the cluster is full: it has " + std::to_string(limits::nodes) + " nodes"};
        if (original != nullptr && ++original->copies > limits::copies_of_node)
            return Refusal{"full", std::to_string(limits::copies_of_node) +
                                       " machines use the key of node " + original->record.name +
                                       " already: start this one with --rejoin"};
        if (original != nullptr)
            warn("clone", *original,
                 "a second machine uses the key of node " + original->record.name +
                     " (a copied card?): it joins as a new node",
                 effects);
        NodeRecord record;
        record.id = fresh.node_id;
        record.key_identity = fresh.key_identity;
        record.wished_name = wish_of(hello);
        record.name = unique_name(record.wished_name);
        node = &add(std::move(record));
    }
    const NodeRecord before = node->record;
    if (node->record.wished_name != wish_of(hello)) rename(*node, wish_of(hello));
    update(node->record, hello);
    const bool with_new_key = node->record.key_identity == fresh.key_identity;
    node->session_key = with_new_key ? fresh.key_identity : std::string(used.identity);
    if (!with_new_key) confirm(*node, node->session_key, effects);  // it came with its own
    node->boot_id = cut(hello.boot_id);
    // It has booted since it was told to, even if it could not say that it would.
    if (auto& record = node->record;
        !record.power_boot.empty() && record.power_boot != node->boot_id) {
        record.power.clear();
        record.power_boot.clear();
    }
    attach(*node, now, session, address, effects);
    if (with_new_key || before != node->record) effects.push_back(SaveNode{node->record});
    if (listener_ != nullptr) listener_->on_node_changed(*node);
    return Joined{node->record.id, node->record.name, with_new_key, original != nullptr};
}

void Cluster::on_key_stored(SessionId session, Effects& effects) {
    Node* node = node_of(session);
    if (node == nullptr || node->plain || node->record.confirmed) return;
    confirm(*node, node->session_key, effects);
    effects.push_back(SaveNode{node->record});
}

Cluster::JoinOutcome Cluster::on_plain_hello(Instant now, SessionId session,
                                             std::string_view address, std::string_view fresh_id,
                                             Effects& effects) {
    if (plain_nodes_ >= limits::plain_nodes) return Refusal{"full", "the cluster is full"};
    NodeRecord record;
    record.id = fresh_id;
    record.role = "basic";
    record.confirmed = true;  // it has no key to store
    record.name = unique_name("plain-" + std::string(fresh_id.substr(0, 8)));
    Node& node = add(std::move(record));
    node.plain = true;
    ++plain_nodes_;
    attach(node, now, session, address, effects);
    return Joined{node.record.id, node.record.name};
}

void Cluster::on_plain_details(Instant now, SessionId session, const MachineFacts& machine,
                               std::optional<double> cpu_percent, Effects& effects) {
    Node* node = node_of(session);
    if (node == nullptr || !node->plain) return;
    node->record.machine = bounded(machine);
    Vitals vitals;
    vitals.cpu_percent = cpu_percent;
    node->vitals = bounded(vitals);
    if (const auto wish = node_name(machine.hostname); !node->named && !wish.empty()) {
        node->named = true;
        replace_plain_predecessor(*node);
        rename(*node, wish);
        effects.push_back(
            Announce{false, "plain node " + node->record.name + " joined from " + node->address,
                     "joined", node->address});
    }
    node->last_heard = now;
    touch(*node);
}

void Cluster::on_heard(Instant now, SessionId session, Effects& effects) {
    Node* node = node_of(session);
    if (node == nullptr) return;
    node->last_heard = now;
    if (node->state != NodeState::online)
        set_state(*node, NodeState::online, "it speaks again", effects);
}

void Cluster::on_vitals(Instant now, SessionId session, const Vitals& vitals, Effects& effects) {
    Node* node = node_of(session);
    if (node == nullptr) return;
    node->vitals = bounded(vitals);
    const auto change = node->health.update(now, node->vitals, health_);
    if (change != Health::Change::none) announce_health(*node, change, effects);
    if (listener_ != nullptr) listener_->on_node_changed(*node);
    touch(*node);
}

void Cluster::on_disconnected(Instant now, SessionId session, std::string_view reason,
                              Effects& effects) {
    Node* node = node_of(session);
    if (node == nullptr) return;
    by_session_.erase(session);
    node->session = 0;
    touch(*node);
    if (node->state == NodeState::online) set_state(*node, NodeState::suspect, reason, effects);
    if (listener_ != nullptr) listener_->on_node_silent(now, *node, effects);
    if (!node->plain) return;
    plain_disconnected_.push_back(node->record.id);
    forget_plain(now);
}

void Cluster::on_tick(Instant now, Effects& effects) {
    for (auto& [id, entry] : nodes_) {
        Node& node = *entry;
        if (node.state == NodeState::lost) continue;
        const Duration silence = now - node.last_heard.value_or(started_);
        const Duration lost_after = node.last_heard
                                        ? timers_.lost_after
                                        : std::max(timers_.lost_after, timers_.lost_after_start);
        if (silence < std::min(timers_.suspect_after, lost_after)) continue;
        const auto silent = "silent for " + format_duration(to_seconds(silence));
        if (silence >= lost_after) {
            node.lost_at = now;
            set_state(node, NodeState::lost, silent, effects);
            if (listener_ != nullptr) listener_->on_node_lost(now, node, effects);
            if (node.session != 0) effects.push_back(CloseSession{node.session, "silent", silent});
        } else if (silence >= timers_.suspect_after && node.state == NodeState::online) {
            set_state(node, NodeState::suspect, silent, effects);
        }
    }
    forget_plain(now);
}

bool Cluster::remove(Instant now, std::string_view name_or_id, Effects& effects) {
    const Node* node = find(name_or_id);
    if (node == nullptr) return false;
    const auto record = node->record;
    if (listener_ != nullptr) listener_->on_node_removed(now, *node, effects);
    auto keys = record.offered_keys;
    keys.push_back(record.key_identity);
    effects.push_back(ForgetNode{record.id, std::move(keys)});
    if (node->session != 0)
        effects.push_back(CloseSession{node->session, "removed", "this node was removed"});
    effects.push_back(
        Announce{false, "node " + record.name + " was removed", "removed", record.id});
    forget(record.id);
    return true;
}

const Node* Cluster::find(std::string_view name_or_id) const {
    const std::string key(name_or_id);
    // Ids first: names are chosen by the nodes, and none may stand in for another.
    if (const auto known = nodes_.find(key); known != nodes_.end()) return known->second.get();
    const auto named = by_name_.find(key);
    return named == by_name_.end() ? nullptr : named->second;
}

const Node* Cluster::find_session(SessionId session) const {
    const auto found = by_session_.find(session);
    return found == by_session_.end() ? nullptr : found->second;
}

std::map<std::string, std::int64_t> Cluster::count_by_state() const {
    std::map<std::string, std::int64_t> counts{{"online", 0}, {"suspect", 0}, {"lost", 0}};
    for (const auto& [id, node] : nodes_) ++counts[std::string(state_name(node->state))];
    return counts;
}

std::optional<std::vector<std::string>> Cluster::gone_since(std::uint64_t since) const {
    if (since < gone_known_since_) return std::nullopt;
    std::vector<std::string> ids;
    for (const auto& gone : gone_)
        if (gone.version > since) ids.push_back(gone.id);
    return ids;
}

Node& Cluster::add(NodeRecord record) {
    auto node = std::make_unique<Node>();
    node->record = std::move(record);
    Node& added = *node;
    by_name_[added.record.name] = &added;
    nodes_[added.record.id] = std::move(node);
    return added;
}

Node* Cluster::node_of(SessionId session) {
    const auto found = by_session_.find(session);
    return found == by_session_.end() ? nullptr : found->second;
}

std::string Cluster::unique_name(const std::string& wish) const {
    int number = 1;
    while (by_name_.contains(numbered_name(wish, number))) ++number;
    return numbered_name(wish, number);
}

void Cluster::rename(Node& node, const std::string& wish) {
    by_name_.erase(node.record.name);
    node.record.wished_name = wish;
    node.record.name = unique_name(wish);
    by_name_[node.record.name] = &node;
}

void Cluster::attach(Node& node, Instant now, SessionId session, std::string_view address,
                     Effects& effects) {
    if (node.session != 0) {
        by_session_.erase(node.session);
        if (listener_ != nullptr) listener_->on_node_silent(now, node, effects);
        effects.push_back(CloseSession{node.session, "replaced",
                                       "this node connected again from " + std::string(address)});
    }
    node.session = session;
    ++node.connections;
    node.address = address;
    node.last_heard = now;
    by_session_[session] = &node;
    set_state(node, NodeState::online, "connected from " + node.address, effects);
}

void Cluster::set_state(Node& node, NodeState state, std::string_view why, Effects& effects) {
    touch(node);
    const bool same = node.state == state;
    node.state = state;
    if (state != NodeState::lost) node.lost_at.reset();
    // A plain peer is announced by its name, which it tells later; and in a storm of plain peers
    // the log must stay readable.
    if (same || (node.plain && !node.named)) return;
    Announce announce;
    announce.warning = state != NodeState::online;
    announce.text = "node " + node.record.name + " is " + std::string(state_name(state)) + ": " +
                    std::string(why);
    announce.kind = state_name(state);
    // A plain peer can be anybody; its address is all that can be counted by.
    announce.about = node.plain ? node.address : node.record.id;
    effects.push_back(Happened{"node_" + std::string(state_name(state)), node.record.name, 0,
                               std::nullopt, announce.text});
    effects.push_back(std::move(announce));
}

void Cluster::announce_health(const Node& node, Health::Change change, Effects& effects) {
    const bool well = change == Health::Change::well;
    auto text = "node " + node.record.name + (well ? " is well again" : " is unwell");
    for (const auto& reason : node.health.reasons())
        text += (&reason == &node.health.reasons().front() ? ": " : "; ") + reason;
    effects.push_back(
        Happened{well ? "node_well" : "node_unwell", node.record.name, 0, std::nullopt, text});
    // Of each kind one line a minute is logged: getting well is another one than falling ill.
    effects.push_back(Announce{!well, std::move(text), well ? "well" : "unwell", node.record.id});
}

void Cluster::changed(Node& node, Effects& effects) {
    effects.push_back(SaveNode{node.record});
    if (listener_ != nullptr) listener_->on_node_changed(node);
    touch(node);
}

void Cluster::quarantine(std::string_view id, std::string_view why, Effects& effects) {
    Node& node = *nodes_.at(std::string(id));
    if (node.record.quarantine == why) return;
    node.record.quarantine = cut(why);
    const auto text = why.empty() ? "node " + node.record.name + " is out of quarantine"
                                  : "node " + node.record.name + " is in quarantine: " + cut(why);
    effects.push_back(Happened{why.empty() ? "node_trusted" : "node_quarantined", node.record.name,
                               0, std::nullopt, text});
    effects.push_back(Announce{!why.empty(), text, "quarantine", node.record.id});
    changed(node, effects);
}

bool Cluster::set_labels(std::string_view id, const std::map<std::string, std::string>& labels,
                         Effects& effects) {
    Node& node = *nodes_.at(std::string(id));
    auto wanted = node.record.set_labels;
    for (const auto& [key, value] : labels)
        if (value.empty() && !node.record.labels.contains(key))
            wanted.erase(key);
        else
            wanted[key] = value;
    if (bounded(wanted) != wanted) return false;
    node.record.set_labels = std::move(wanted);
    changed(node, effects);
    return true;
}

void Cluster::forget(std::string id) {
    const auto found = nodes_.find(id);
    if (found == nodes_.end()) return;
    const Node& node = *found->second;
    if (node.session != 0) by_session_.erase(node.session);
    by_name_.erase(node.record.name);
    if (node.plain) {
        std::erase(plain_disconnected_, id);
        --plain_nodes_;
    }
    nodes_.erase(found);
    gone_.push_back({++version_, std::move(id)});
    if (gone_.size() > gone_remembered) {
        gone_known_since_ = gone_.front().version;
        gone_.pop_front();
    }
}

/// The node that this one was before it forgot its key: its board was written anew, or the power
/// went between the welcome and its disk. It has the same board, role and wish, and no connection,
/// or only what is left of one from an earlier boot. Several containers of one board are kept apart
/// by their names, or by being connected.
Node* Cluster::earlier_self(const Hello& hello) {
    const auto wish = wish_of(hello);
    for (int number = 1;; ++number) {
        const auto found = by_name_.find(numbered_name(wish, number));
        if (found == by_name_.end()) return nullptr;
        Node& node = *found->second;
        const auto& record = node.record;
        const bool gone = node.session == 0 || node.boot_id != cut(hello.boot_id);
        const bool same_board = record.fingerprint == cut(hello.fingerprint) &&
                                (!record.fingerprint.empty() || !record.confirmed);
        if (gone && same_board && !node.plain && record.role == hello.role &&
            record.wished_name == wish)
            return &node;
    }
}

/// Another key for a node that joins again. It may have the one before all the same: its greetings
/// need not arrive in the order in which it sent them. So that one counts until the node has
/// confirmed one of them.
void Cluster::offer(Node& node, const std::string& key_identity, Effects& effects) {
    auto& record = node.record;
    record.confirmed = false;
    record.offered_keys.push_back(std::exchange(record.key_identity, key_identity));
    if (record.offered_keys.size() < limits::offered_keys) return;
    effects.push_back(ForgetKey{record.offered_keys.front()});
    record.offered_keys.erase(record.offered_keys.begin());
}

/// This key is on the node's disk: the others that it was given are nobody's.
void Cluster::confirm(Node& node, const std::string& key_identity, Effects& effects) {
    auto& record = node.record;
    if (record.confirmed) return;
    record.confirmed = true;
    record.offered_keys.push_back(std::exchange(record.key_identity, key_identity));
    for (auto& other : std::exchange(record.offered_keys, {}))
        if (other != key_identity) effects.push_back(ForgetKey{std::move(other)});
}

/// Plain nodes have no identity, so each connection is a new one; those that ended are shown for a
/// while, within bounds.
void Cluster::forget_plain(Instant now) {
    while (!plain_disconnected_.empty()) {
        const Node& oldest = *nodes_.at(plain_disconnected_.front());
        const bool keep = plain_disconnected_.size() <= limits::plain_nodes_kept &&
                          now - *oldest.last_heard < limits::plain_node_kept;
        if (keep) return;
        forget(oldest.record.id);
    }
}

/// A plain slave that came back (same host name, same IP address) takes the place of its earlier
/// connection.
void Cluster::replace_plain_predecessor(const Node& node) {
    const auto host = [](const Node& n) { return n.address.substr(0, n.address.rfind(':')); };
    std::string predecessor;
    for (const auto& id : plain_disconnected_) {
        const Node& other = *nodes_.at(id);
        if (other.record.machine.hostname == node.record.machine.hostname &&
            host(other) == host(node))
            predecessor = id;
    }
    if (!predecessor.empty()) forget(predecessor);
}

}  // namespace rpic
