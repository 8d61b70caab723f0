#include "master/beacon.hpp"

#include <array>

#include "common/discovery.hpp"
#include "common/limits.hpp"
#include "common/sleep.hpp"
#include "slave/discovery.hpp"
#include "test/async/test_master.hpp"

using namespace rpic;
using namespace rpic::test;
using namespace std::chrono_literals;
using udp = asio::ip::udp;

namespace {

/// A master's beacon on loopback, where the tests ask it alone.
struct BeaconWorld {
    BeaconWorld() { master.context.options.discovery_port = 0; }

    /// It listens on loopback alone, where nobody would look for it: said only once it is bound.
    Beacon& beacon() {
        if (!made) {
            auto& options = master.context.options;
            const auto bind = std::exchange(options.bind, "");
            made = std::make_unique<Beacon>(master.io.get_executor(), master.context,
                                            master.listener.port());
            options.bind = bind;
        }
        return *made;
    }

    template <class Work>
    void run(Work work) {
        auto all = [&]() -> asio::awaitable<void> {
            co_await until_first_failure(beacon().run(), std::move(work));
        };
        run_all(master.io, all());
    }

    std::vector<DiscoveryTarget> targets() {
        return {{udp::endpoint(asio::ip::address_v4::loopback(), beacon().port()), {}}};
    }

    const Counters& counters() const { return master.context.counters; }

    TestMaster master;
    std::unique_ptr<Beacon> made;
};

asio::awaitable<void> ask_once(std::vector<DiscoveryTarget> targets, std::string key,
                               std::vector<FoundMaster>& found) {
    found = co_await ask_for_masters(std::move(targets), std::move(key));
}

/// Sends datagrams and waits for the master to have looked at all of them.
asio::awaitable<void> send_datagrams(BeaconWorld& world, std::vector<std::string> datagrams) {
    const auto executor = co_await asio::this_coro::executor;
    udp::socket socket(executor, udp::endpoint(asio::ip::address_v4::loopback(), 0));
    const auto& counters = world.counters();
    const auto seen = [&] {
        return counters.discovery_answered + counters.discovery_refused +
               counters.discovery_limited;
    };
    const auto before = seen();
    const udp::endpoint target(asio::ip::address_v4::loopback(), world.beacon().port());
    for (const auto& datagram : datagrams) socket.send_to(asio::buffer(datagram), target);
    const Duration pause = 1ms;
    while (seen() < before + static_cast<std::int64_t>(datagrams.size())) co_await sleep_for(pause);
    // Nobody gets more bytes than he sent.
    CHECK(socket.available() <= datagrams.size() * discovery_bytes);
}

std::string question_with(const std::string& key) {
    return encode_question({key_identity(key), random_hex(16)}, key);
}

}  // namespace

TEST_CASE("a slave with the join key finds the master, one without does not") {
    BeaconWorld world;
    std::vector<FoundMaster> found;
    world.run(ask_once(world.targets(), world.master.join_key(), found));
    REQUIRE(found.size() == 1);  // however often it answered
    CHECK(found[0].address.host == "127.0.0.1");
    CHECK(found[0].address.port == world.master.listener.port());
    CHECK(found[0].cluster == world.master.context.cluster_id);
    CHECK(world.counters().discovery_answered == limits::discovery_questions);
    CHECK(world.counters().discovery_refused == 0);
    world.run(ask_once(world.targets(), make_key(), found));
    CHECK(found.empty());
    CHECK(world.counters().discovery_answered == limits::discovery_questions);
    CHECK(world.counters().discovery_refused == limits::discovery_questions);
}

TEST_CASE("keys of nodes find the master, those of people do not") {
    BeaconWorld world;
    StoreBatch batch;
    auto& context = world.master.context;
    const auto node = add_key(context, "node", "", random_hex(16), batch);
    const auto web = add_key(context, "web", "", random_hex(16), batch);
    const auto token = add_key(context, "admin", "laptop", "", batch);
    world.run(send_datagrams(world, {question_with(node.key), question_with(web.key)}));
    CHECK(world.counters().discovery_answered == 2);
    world.run(
        send_datagrams(world, {question_with(token.key), question_with(world.master.admin_key())}));
    CHECK(world.counters().discovery_answered == 2);
    CHECK(world.counters().discovery_refused == 2);
    // A renewed join key, or that of a node that was removed.
    context.keyring.drop(node.identity);
    world.run(send_datagrams(world, {question_with(node.key)}));
    CHECK(world.counters().discovery_refused == 3);
}

TEST_CASE("what is no question, or proves nothing, is not answered") {
    BeaconWorld world;
    const auto key = world.master.join_key();
    auto forged = question_with(key);
    forged.back() = static_cast<char>(forged.back() ^ 1);
    world.run(
        send_datagrams(world, {"", "x", std::string(discovery_bytes, '\0'), forged,
                               question_with(key) + "x", std::string(60'000, 'x'),
                               encode_question({key_identity(key), random_hex(16)}, make_key())}));
    CHECK(world.counters().discovery_answered == 0);
    CHECK(world.counters().discovery_refused == 7);
}

TEST_CASE("one address gets so many answers") {
    BeaconWorld world;
    const auto asked = 2 * limits::discovery_per_address;
    const std::vector<std::string> questions(static_cast<std::size_t>(asked),
                                             question_with(world.master.join_key()));
    world.run(send_datagrams(world, questions));
    const auto& counters = world.counters();
    CHECK(counters.discovery_answered + counters.discovery_limited == asked);
    CHECK(counters.discovery_answered >= limits::discovery_per_address);
    CHECK(counters.discovery_limited > 0);
}

TEST_CASE("a slave believes nobody who has not its key, and nobody who answers another question") {
    asio::io_context io;
    udp::socket liar(io, udp::endpoint(asio::ip::address_v4::loopback(), 0));
    const auto key = make_key();
    auto lie = [&]() -> asio::awaitable<void> {
        std::array<char, 200> buffer{};
        const auto into = asio::buffer(buffer);
        for (;;) {
            udp::endpoint from;
            const auto size = co_await liar.async_receive_from(into, from, asio::use_awaitable);
            const std::string_view datagram(buffer.data(), size);
            DiscoveryAnswer answer;
            answer.cluster = std::string(32, '0');
            answer.run = std::string(16, '0');
            answer.port = 1;
            answer.nonce = std::string(32, '0');  // an old answer of the true master
            const auto replayed = encode_answer(answer, key);
            answer.nonce = read_question(datagram)->nonce;
            const auto strange = encode_answer(answer, make_key());
            const std::vector<std::string> lies = {replayed, strange, std::string(datagram), ""};
            for (const auto& text : lies) liar.send_to(asio::buffer(text), from);
        }
    };
    std::vector<FoundMaster> found = {{}};
    auto all = [&]() -> asio::awaitable<void> {
        std::vector<DiscoveryTarget> targets(1);
        targets[0].endpoint = liar.local_endpoint();
        co_await until_first_failure(lie(), ask_once(std::move(targets), key, found));
    };
    run_all(io, all());
    CHECK(found.empty());
}

TEST_CASE("without a network there is nobody to ask") {
    asio::io_context io;
    std::vector<FoundMaster> found;
    CHECK_THROWS_WITH(run_all(io, ask_once({}, make_key(), found)), "there is no network");
}

TEST_CASE("a master that listens on loopback, or has discovery switched off, hears no question") {
    TestMaster master;
    const auto executor = master.io.get_executor();
    CHECK(Beacon(executor, master.context, 1).port() == 0);
    master.context.options.bind.clear();
    master.context.options.discovery = false;
    CHECK(Beacon(executor, master.context, 1).port() == 0);
}

TEST_CASE("an address is no name that has to be looked up") {
    asio::io_context io;
    auto probe = [&]() -> asio::awaitable<void> {
        NameProbe names(io.get_executor());
        const std::string v4 = "10.0.0.1";
        const std::string v6 = "fe80::1";
        const std::string local = "localhost";
        const std::string none(300, 'x');  // longer than a name can be: nobody is asked
        const bool knows_v4 = co_await names.knows(v4);
        const bool knows_v6 = co_await names.knows(v6);
        const bool knows_local = co_await names.knows(local);
        const bool knows_none = co_await names.knows(none);
        CHECK((knows_v4 && knows_v6 && knows_local && !knows_none));
    };
    run_all(io, probe());
}
