#include "slave/discovery.hpp"

#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>

#include <algorithm>
#include <boost/asio/ip/multicast.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cstring>
#include <memory>
#include <optional>
#include <set>

#include "common/discovery.hpp"
#include "common/errors.hpp"
#include "common/keys.hpp"
#include "common/limits.hpp"
#include "common/sleep.hpp"
#include "common/until_first_failure.hpp"
#include "common/wakeup.hpp"

namespace rpic {

namespace {

using udp = asio::ip::udp;

asio::ip::address_v4 v4_of(const sockaddr* address) {
    sockaddr_in in{};
    std::memcpy(&in, address, sizeof in);
    return asio::ip::address_v4(ntohl(in.sin_addr.s_addr));
}

bool has_family(const sockaddr* address, int family) {
    return address != nullptr && address->sa_family == family;
}

/// Where the interface was given none (the C library then shows its own address in that place),
/// that of its network, which the kernel knows as well.
std::optional<asio::ip::address_v4> broadcast_of(const ifaddrs& entry) {
    if ((entry.ifa_flags & IFF_BROADCAST) == 0) return std::nullopt;
    const auto own = v4_of(entry.ifa_addr);
    if (has_family(entry.ifa_broadaddr, AF_INET)) {
        const auto given = v4_of(entry.ifa_broadaddr);
        if (!given.is_unspecified() && given != own) return given;
    }
    if (entry.ifa_netmask == nullptr) return std::nullopt;
    const auto hosts = ~v4_of(entry.ifa_netmask).to_uint();
    if (hosts < 3) return std::nullopt;  // a network of two has none
    return asio::ip::address_v4(own.to_uint() | hosts);
}

/// What one address of an interface (getifaddrs(3)) adds.
void add_targets(const ifaddrs& entry, std::uint16_t port, std::vector<DiscoveryTarget>& targets) {
    if (has_family(entry.ifa_addr, AF_INET)) {
        const auto own = v4_of(entry.ifa_addr);
        if (const auto broadcast = broadcast_of(entry))
            targets.push_back({udp::endpoint(*broadcast, port), own});
        if ((entry.ifa_flags & IFF_MULTICAST) != 0)
            targets.push_back({udp::endpoint(asio::ip::make_address_v4("224.0.0.1"), port), own});
    }
    if (has_family(entry.ifa_addr, AF_INET6) && (entry.ifa_flags & IFF_MULTICAST) != 0) {
        auto group = asio::ip::make_address_v6("ff02::1");
        group.scope_id(::if_nametoindex(entry.ifa_name));
        const udp::endpoint endpoint(group, port);
        const bool known = std::any_of(targets.begin(), targets.end(), [&](const auto& target) {
            return target.endpoint == endpoint;
        });
        if (!known) targets.push_back({endpoint, {}});
    }
}

/// The sockets of one search, and what has come in.
struct Search {
    Search(const asio::any_io_executor& executor, std::vector<DiscoveryTarget> where,
           std::string with)
        : v4(executor), v6(executor), targets(std::move(where)), key(std::move(with)) {
        question.identity = key_identity(key);
        question.nonce = random_hex(16);
        boost::system::error_code error;
        v4.open(udp::v4(), error);
        if (!error) v4.set_option(asio::socket_base::broadcast(true), error);
        if (!error) v4.bind(udp::endpoint(udp::v4(), 0), error);
        if (!error) v4.non_blocking(true, error);
        // Where IPv6 is switched off, opening fails, and so does what is sent there later.
        v6.open(udp::v6(), error);
        if (!error) v6.bind(udp::endpoint(udp::v6(), 0), error);
        if (!error) v6.non_blocking(true, error);
    }

    udp::socket v4;
    udp::socket v6;
    std::vector<DiscoveryTarget> targets;
    std::string key;
    DiscoveryQuestion question;
    bool sent = false;
    std::string send_failure = "there is no network";
    std::vector<FoundMaster> found;
};

void send_to(Search& search, const DiscoveryTarget& target, const std::string& datagram) {
    boost::system::error_code error;
    const bool is_v4 = target.endpoint.address().is_v4();
    if (is_v4 && target.endpoint.address().is_multicast())
        search.v4.set_option(asio::ip::multicast::outbound_interface(target.leave_by), error);
    auto& socket = is_v4 ? search.v4 : search.v6;
    if (!error) socket.send_to(asio::buffer(datagram), target.endpoint, 0, error);
    if (!error)
        search.sent = true;
    else
        search.send_failure = error.message();
}

/// Asks again and again, because datagrams get lost; ends the search when its time is over.
asio::awaitable<void> ask(Search& search) {
    const auto datagram = encode_question(search.question, search.key);
    const Duration time = limits::discovery_time;
    for (int i = 0; i < limits::discovery_questions; ++i) {
        for (const auto& target : search.targets) send_to(search, target, datagram);
        if (!search.sent) co_return;
        co_await sleep_for(time / limits::discovery_questions);
    }
}

/// An answer names the address itself; which interface leads to a link-local one is known here
/// alone.
FoundMaster found_by(const DiscoveryAnswer& answer, const udp::endpoint& from) {
    auto v6 = asio::ip::address_v6(answer.address);
    if (v6.is_link_local() && from.address().is_v6())
        v6.scope_id(from.address().to_v6().scope_id());
    asio::ip::address address = v6;
    if (v6.is_v4_mapped()) address = asio::ip::make_address_v4(asio::ip::v4_mapped, v6);
    return {answer.cluster, answer.run, {address.to_string(), answer.port}};
}

void take_answer(Search& search, std::string_view datagram, const udp::endpoint& from) {
    const auto answer = read_answer(datagram, search.question.nonce, search.key);
    if (!answer || search.found.size() >= limits::discovery_masters) return;
    auto master = found_by(*answer, from);
    for (const auto& other : search.found)
        if (other.run == master.run && other.address.host == master.address.host) return;
    search.found.push_back(std::move(master));
}

asio::awaitable<void> listen(Search& search, udp::socket& socket) {
    std::array<char, discovery_bytes + 1> buffer{};  // one more: a longer datagram is no answer
    for (;;) {
        udp::endpoint from;
        boost::system::error_code error;
        auto token = asio::redirect_error(asio::use_awaitable, error);
        const auto into = asio::buffer(buffer);
        const auto size = co_await socket.async_receive_from(into, from, token);
        if (error == asio::error::operation_aborted) throw boost::system::system_error(error);
        if (!error) {
            take_answer(search, {buffer.data(), size}, from);
            continue;
        }
        // No such socket here, or the network went away: the other one may still hear something.
        const Duration rest = limits::discovery_time;
        co_await sleep_for(rest);
    }
}

asio::awaitable<void> changed(Wakeup& wakeup, std::uint64_t seen) {
    co_await wakeup.wait(seen);
}

}  // namespace

std::vector<DiscoveryTarget> discovery_targets(std::uint16_t port) {
    std::vector<DiscoveryTarget> targets;
    ifaddrs* list = nullptr;
    if (::getifaddrs(&list) != 0) return targets;
    const std::unique_ptr<ifaddrs, decltype(&::freeifaddrs)> owner(list, &::freeifaddrs);
    std::set<std::string> names;
    for (const auto* entry = list; entry != nullptr; entry = entry->ifa_next) {
        const auto flags = entry->ifa_flags;
        if ((flags & IFF_UP) == 0 || (flags & IFF_LOOPBACK) != 0) continue;
        if (names.size() >= limits::discovery_interfaces && !names.contains(entry->ifa_name))
            continue;
        names.insert(entry->ifa_name);
        add_targets(*entry, port, targets);
    }
    return targets;
}

asio::awaitable<std::vector<FoundMaster>> ask_for_masters(std::vector<DiscoveryTarget> targets,
                                                          std::string key) {
    const auto executor = co_await asio::this_coro::executor;
    Search search(executor, std::move(targets), std::move(key));
    co_await until_first_failure(ask(search), listen(search, search.v4), listen(search, search.v6));
    if (!search.sent) throw DisconnectionError(search.send_failure);
    co_return std::move(search.found);
}

struct NameProbe::Question {
    explicit Question(const asio::any_io_executor& executor)
        : resolver(executor), answered(executor) {}
    udp::resolver resolver;
    Wakeup answered;
    bool open = false;
    bool known = false;
};

NameProbe::NameProbe(const asio::any_io_executor& executor)
    : question_(std::make_shared<Question>(executor)) {}

asio::awaitable<bool> NameProbe::knows(std::string host) {
    boost::system::error_code no_address;
    static_cast<void>(asio::ip::make_address(host, no_address));
    if (!no_address) co_return true;
    const auto question = question_;
    if (question->open) co_return false;
    question->open = true;
    question->known = false;
    const auto seen = question->answered.count();
    question->resolver.async_resolve(
        host, "", [question](const boost::system::error_code& error, const auto&) {
            question->open = false;
            question->known = !error;
            question->answered.notify();
        });
    const Duration patience = limits::discovery_name_time;
    co_await until_first_failure(changed(question->answered, seen), sleep_for(patience));
    co_return !question->open && question->known;
}

}  // namespace rpic
