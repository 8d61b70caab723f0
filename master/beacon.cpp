#include "master/beacon.hpp"

#include <array>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <optional>

#include "common/discovery.hpp"
#include "common/keys.hpp"
#include "common/limits.hpp"
#include "common/log.hpp"
#include "common/sleep.hpp"
#include "common/until_first_failure.hpp"

namespace rpic {

namespace {

using udp = asio::ip::udp;

constexpr int questions_per_turn = 64;  // then others get their turn

/// The address of this machine that packets to that peer leave from, and that it can reach
/// therefore; nothing if there is no way to it.
std::optional<asio::ip::address> address_towards(const asio::any_io_executor& executor,
                                                 const udp::endpoint& peer) {
    boost::system::error_code error;
    udp::socket probe(executor);
    probe.open(peer.protocol(), error);
    // For UDP this only looks up the way: nothing is sent.
    if (!error) probe.connect(peer, error);
    const auto local = error ? udp::endpoint() : probe.local_endpoint(error);
    if (error || local.address().is_unspecified()) return std::nullopt;
    return local.address();
}

std::array<unsigned char, 16> bytes_of(const asio::ip::address& address) {
    if (address.is_v6()) return address.to_v6().to_bytes();
    return asio::ip::make_address_v6(asio::ip::v4_mapped, address.to_v4()).to_bytes();
}

/// Keys of nodes, and the one that lets nodes join.
bool may_ask(const KeyRecord* record) {
    return record != nullptr &&
           (record->role == "join" || record->role == "node" || record->role == "web");
}

}  // namespace

Beacon::Beacon(const asio::any_io_executor& executor, Context& context, std::uint16_t master_port)
    : context_(context),
      master_port_(master_port),
      run_(random_hex(8)),
      v4_(executor),
      v6_(executor),
      never_(executor) {
    boost::system::error_code ignored;
    const auto& bind = context.options.bind;
    const auto bound = asio::ip::make_address(bind, ignored);
    // Nobody elsewhere could reach it.
    if (!context.options.discovery || (!bind.empty() && bound.is_loopback())) return;
    open(v4_, udp::endpoint(udp::v4(), context.options.discovery_port));
    open(v6_, udp::endpoint(udp::v6(), context.options.discovery_port));
    if (!v4_.is_open())  // IPv6 is switched off in many places
        log_warning("slaves that do not know this master cannot find it: UDP port " +
                    std::to_string(context.options.discovery_port) + " cannot be used");
}

void Beacon::open(udp::socket& socket, const udp::endpoint& endpoint) {
    boost::system::error_code error;
    socket.open(endpoint.protocol(), error);
    // Two masters of one machine both hear what is sent to everybody.
    if (!error) socket.set_option(asio::socket_base::reuse_address(true), error);
    if (!error && endpoint.address().is_v6()) socket.set_option(asio::ip::v6_only(true), error);
    const asio::socket_base::receive_buffer_size waiting(limits::discovery_receive_bytes);
    if (!error) socket.set_option(waiting, error);
    if (!error) socket.non_blocking(true, error);
    if (!error) socket.bind(endpoint, error);
    boost::system::error_code ignored;
    if (error) socket.close(ignored);
}

std::uint16_t Beacon::port() const {
    boost::system::error_code error;
    const auto endpoint = v4_.local_endpoint(error);
    return error ? std::uint16_t{0} : endpoint.port();
}

asio::awaitable<void> Beacon::run() {
    co_await until_first_failure(answer_on(v4_), answer_on(v6_));
}

asio::awaitable<void> Beacon::answer_on(udp::socket& socket) {
    if (!socket.is_open()) co_await never_.wait(0);
    for (;;) {
        co_await wait_for_question(socket);
        bool allowed = true;
        for (int taken = 0; taken < questions_per_turn && allowed; ++taken) {
            allowed = limit_.may_read(Clock::now());
            if (allowed && !take_question(socket)) break;
        }
        if (allowed) continue;
        const auto rest = limit_.rest(Clock::now());
        co_await sleep_for(rest);
    }
}

asio::awaitable<void> Beacon::wait_for_question(udp::socket& socket) {
    boost::system::error_code error;
    auto token = asio::redirect_error(asio::use_awaitable, error);
    const auto readable = udp::socket::wait_read;
    co_await socket.async_wait(readable, token);
    if (error) throw boost::system::system_error(error);
}

/// False if there is none.
bool Beacon::take_question(udp::socket& socket) {
    std::array<char, discovery_bytes + 1> buffer;  // one more: a longer datagram is no question
    udp::endpoint from;
    boost::system::error_code error;
    const auto size = socket.receive_from(asio::buffer(buffer), from, 0, error);
    // Other errors are about what was sent earlier, to somebody who is gone; each is told once.
    if (error) return error != asio::error::would_block;
    answer(socket, {buffer.data(), size}, from);
    return true;
}

void Beacon::answer(udp::socket& socket, std::string_view datagram, const udp::endpoint& from) {
    auto& counters = context_.counters;
    const auto question = read_question(datagram);
    const auto* record =
        question ? context_.keyring.find(question->identity, wall_seconds()) : nullptr;
    if (!may_ask(record) || !proves_key(datagram, record->key)) {
        ++counters.discovery_refused;
        return;
    }
    if (!limit_.may_answer(Clock::now(), from.address().to_string())) {
        ++counters.discovery_limited;
        return;
    }
    boost::system::error_code ignored;
    std::optional bound = asio::ip::make_address(context_.options.bind, ignored);
    const bool everywhere = ignored || bound->is_unspecified();
    const auto address = everywhere ? address_towards(socket.get_executor(), from) : bound;
    if (!address) return;
    DiscoveryAnswer told;
    told.cluster = context_.cluster_id;
    told.run = run_;
    told.address = bytes_of(*address);
    told.port = master_port_;
    told.nonce = question->nonce;
    socket.send_to(asio::buffer(encode_answer(told, record->key)), from, 0, ignored);
    ++counters.discovery_answered;
}

}  // namespace rpic
