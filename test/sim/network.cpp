#include "test/sim/network.hpp"

#include "common/limits.hpp"

namespace rpic::sim {

using namespace std::chrono_literals;

Network::Link* Network::find(LinkId id) {
    const auto found = links_.find(id);
    return found == links_.end() ? nullptr : &found->second;
}

LinkId Network::connect(int board, Greeting greeting) {
    const auto id = ++last_;
    auto& link = links_[id];
    link.board = board;
    const auto& wire = wires_[board];
    shake_hands(id, greeting, trip(wire, wire.extra_up) + trip(wire, wire.extra_down));
    return id;
}

/// What is lost of a handshake is sent again until it comes through.
void Network::shake_hands(LinkId id, const Greeting& greeting, Duration wait) {
    timeline_.after(wait, [this, id, greeting] {
        auto* link = find(id);
        if (link == nullptr || !link->node_open) return;
        const auto& wire = wires_[link->board];
        if (!master_power_ || wire.up_cut || wire.down_cut)
            return shake_hands(id, greeting, random_.between(200ms, 3s));
        link->master_open = true;
        link->accepted = timeline_.now();
        push(id, link->up, Up(greeting));
    });
}

void Network::send_up(LinkId id, Up message) {
    auto* link = find(id);
    if (link != nullptr && link->node_open) push(id, link->up, std::move(message));
}

void Network::send_down(LinkId id, Down message) {
    auto* link = find(id);
    if (link != nullptr && link->master_open) push(id, link->down, std::move(message));
}

Duration Network::trip(const Wire& wire, Duration extra) {
    if (wire.lossy && random_.chance(35)) {
        troubles_.count(Trouble::packet_dropped);
        extra += random_.between(1s, 9s);
    }
    return extra + random_.between(100us, random_.chance(5) ? 60ms : 3ms);
}

template <class Message>
void Network::push(LinkId id, Lane<Message>& lane, Message message) {
    const auto& wire = wires_[links_.at(id).board];
    const auto time = trip(wire, std::is_same_v<Message, Up> ? wire.extra_up : wire.extra_down);
    lane.items.push_back({timeline_.now() + time, std::move(message)});
    pump(id, lane);
}

template <class Message>
void Network::pump(LinkId id, Lane<Message>& lane) {
    if (lane.pumped || lane.items.empty()) return;
    lane.pumped = true;
    if constexpr (std::is_same_v<Message, Up>)
        timeline_.at(lane.items.front().ready, [this, id] { deliver_up(id); });
    else
        timeline_.at(lane.items.front().ready, [this, id] { deliver_down(id); });
}

void Network::deliver_up(LinkId id) {
    if (auto* link = find(id)) link->up.pumped = false;
    for (auto* link = find(id); link != nullptr; link = find(id)) {
        auto& items = link->up.items;
        if (items.empty() || wires_[link->board].up_cut) return;
        if (items.front().ready > timeline_.now()) return pump(id, link->up);
        auto message = std::move(items.front().message);
        items.pop_front();
        const bool closed = std::holds_alternative<Closed>(message);
        if (std::holds_alternative<Greeting>(message) && link->master_open &&
            timeline_.now() - link->accepted > limits::hello_time) {
            close_master_end(id, "no hello in time");
        } else if (link->master_open) {
            const int board = link->board;
            if (closed) link->master_open = false;
            on_up(id, board, message);
            forget_if_over(id);
        } else if (!master_power_) {
            link->up.swallowed = true;
        } else if (!closed) {
            push(id, link->down, Down(Closed{"the connection was reset"}));
        }
    }
}

void Network::deliver_down(LinkId id) {
    if (auto* link = find(id)) link->down.pumped = false;
    for (auto* link = find(id); link != nullptr; link = find(id)) {
        auto& items = link->down.items;
        if (items.empty() || wires_[link->board].down_cut) return;
        if (items.front().ready > timeline_.now()) return pump(id, link->down);
        auto message = std::move(items.front().message);
        items.pop_front();
        const bool closed = std::holds_alternative<Closed>(message);
        if (link->node_open) {
            const int board = link->board;
            if (closed) link->node_open = false;
            on_down(id, board, message);
            forget_if_over(id);
        } else if (!wires_[link->board].power) {
            link->down.swallowed = true;
        } else if (!closed) {
            push(id, link->up, Up(Closed{"the connection was reset"}));
        }
    }
}

void Network::forget_if_over(LinkId id) {
    const auto* link = find(id);
    if (link != nullptr && !link->node_open && !link->master_open) links_.erase(id);
}

void Network::close_node_end(LinkId id, const std::string& reason, bool silently) {
    auto* link = find(id);
    if (link == nullptr || !link->node_open) return;
    link->node_open = false;
    if (!silently) push(id, link->up, Up(Closed{reason}));
    forget_if_over(id);
}

void Network::close_master_end(LinkId id, const std::string& reason, bool silently) {
    auto* link = find(id);
    if (link == nullptr || !link->master_open) return;
    link->master_open = false;
    if (!silently) push(id, link->down, Down(Closed{reason}));
    forget_if_over(id);
}

void Network::close_master_ends(const std::string& reason, bool silently) {
    std::vector<LinkId> ids;
    for (const auto& [id, link] : links_) ids.push_back(id);
    for (const auto id : ids) close_master_end(id, reason, silently);
}

void Network::reset(LinkId id) {
    auto* link = find(id);
    if (link == nullptr) return;
    troubles_.count(Trouble::connection_reset);
    link->up.items.clear();
    link->down.items.clear();
    push(id, link->up, Up(Closed{"the connection was reset"}));
    push(id, link->down, Down(Closed{"the connection was reset"}));
}

std::vector<LinkId> Network::links_of(int board) const {
    std::vector<LinkId> ids;
    for (const auto& [id, link] : links_)
        if (link.board == board) ids.push_back(id);
    return ids;
}

void Network::cut(int board, bool up, bool down) {
    auto& wire = wires_[board];
    troubles_.count(up && down ? Trouble::both_ways_cut
                    : up       ? Trouble::way_up_cut
                               : Trouble::way_down_cut);
    wire.up_cut = wire.up_cut || up;
    wire.down_cut = wire.down_cut || down;
}

void Network::slow_down(int board, Duration up, Duration down) {
    if (up > Duration{} || down > Duration{}) troubles_.count(Trouble::way_slow);
    wires_[board].extra_up = up;
    wires_[board].extra_down = down;
}

void Network::make_lossy(int board, bool lossy) {
    wires_[board].lossy = lossy;
}

bool Network::is_cut(int board) const {
    const auto found = wires_.find(board);
    return found != wires_.end() && (found->second.up_cut || found->second.down_cut);
}

/// What was not acknowledged is sent again, a while after it could come through.
template <class Message>
void Network::resume(LinkId id, Lane<Message>& lane) {
    if (lane.pumped || lane.items.empty()) return;
    const auto again = timeline_.now() + random_.between(1ms, 1500ms);
    for (auto& item : lane.items) item.ready = std::max(item.ready, again);
    pump(id, lane);
}

void Network::heal(int board) {
    auto& wire = wires_[board];
    wire.up_cut = wire.down_cut = false;
    for (const auto id : links_of(board)) {
        resume(id, links_.at(id).up);
        resume(id, links_.at(id).down);
    }
}

void Network::set_node_power(int board, bool on) {
    wires_[board].power = on;
    if (!on) {
        // What was not on its way yet goes with the machine.
        for (const auto id : links_of(board)) links_.at(id).up.items.clear();
        return;
    }
    // What the master has sent meanwhile, it sends again: a machine that knows nothing of it.
    for (const auto id : links_of(board)) {
        auto& link = links_.at(id);
        if (link.node_open || !link.down.swallowed) continue;
        timeline_.after(random_.between(200ms, 15s), [this, id] {
            if (auto* there = find(id)) push(id, there->up, Up(Closed{"the connection was reset"}));
        });
    }
}

void Network::set_master_power(bool on) {
    master_power_ = on;
    if (!on) {
        for (auto& [id, link] : links_) link.down.items.clear();
        return;
    }
    for (auto& [id, link] : links_) {
        if (link.master_open || !link.up.swallowed) continue;
        timeline_.after(random_.between(200ms, 15s), [this, number = id] {
            auto* there = find(number);
            if (there != nullptr)
                push(number, there->down, Down(Closed{"the connection was reset"}));
        });
    }
}

}  // namespace rpic::sim
