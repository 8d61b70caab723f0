#include "master/lobby.hpp"

#include "common/limits.hpp"
#include "common/text.hpp"

namespace rpic {

namespace {

std::string host_of(const std::string& address) {
    const auto parts = parse_host_port(address, 1);
    return parts ? parts->host : address;
}

}  // namespace

Lobby::Seat::Seat(Lobby& lobby, Connection& connection)
    : lobby_(lobby),
      connection_(&connection),
      host_(host_of(connection.peer())),
      since_(Clock::now()),
      place_(lobby.seats_.insert(lobby.seats_.end(), this)) {
    ++lobby.per_host_[host_];
    ++lobby.counted_;
}

void Lobby::Seat::authenticated() { lobby_.stop_counting(*this); }

void Lobby::Seat::leave() {
    if (connection_ == nullptr) return;
    lobby_.stop_counting(*this);
    lobby_.seats_.erase(place_);
    connection_ = nullptr;
}

void Lobby::stop_counting(Seat& seat) {
    if (!seat.counted_) return;
    seat.counted_ = false;
    const auto host = per_host_.find(seat.host_);
    if (--host->second == 0) per_host_.erase(host);
    if (counted_-- == limits::unauthenticated_peers) changed_.notify();
}

bool Lobby::full() const { return counted_ >= limits::unauthenticated_peers; }

asio::awaitable<void> Lobby::wait_for_room() {
    auto seen = changed_.count();
    while (full()) seen = co_await changed_.wait(seen);
}

void Lobby::sweep(Instant now) {
    const Duration patience =
        full() ? limits::unauthenticated_time_crowded : limits::unauthenticated_time;
    std::unordered_map<std::string, std::size_t> too_many;
    for (const auto& [host, count] : per_host_)
        if (count > limits::unauthenticated_per_address)
            too_many[host] = count - limits::unauthenticated_per_address;
    for (Seat* seat : seats_) {
        const Duration age = now - seat->since_;
        if (seat->connection_->closed()) continue;
        if (!seat->counted_) {
            if (age >= limits::hello_time) seat->connection_->close("did not say hello in time");
        } else if (age >= patience) {
            ++counters_.closed_unauthenticated;
            seat->connection_->close("did not prove who it is within " +
                                     format_duration(to_seconds(patience)));
        } else if (const auto host = too_many.find(seat->host_);
                   host != too_many.end() && host->second > 0 &&
                   age >= limits::unauthenticated_grace && !seat->connection_->spoke()) {
            --host->second;
            ++counters_.closed_crowded;
            seat->connection_->close("sent nothing, and too many connections wait from its address");
        }
    }
}

}  // namespace rpic
