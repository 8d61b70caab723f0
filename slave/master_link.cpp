#include "slave/master_link.hpp"

#include <boost/system/system_error.hpp>

#include "common/code_pages.hpp"
#include "common/dial.hpp"
#include "common/limits.hpp"
#include "common/log.hpp"
#include "common/service_manager.hpp"
#include "common/sleep.hpp"
#include "common/until_first_failure.hpp"
#include "common/version.hpp"

namespace rpic {

namespace {

/// A link on which nothing came for so long is dead, whatever TCP believes. Heartbeats are
/// answered, so a living master is never silent.
asio::awaitable<void> watch_silence(Connection& link) {
    for (;;) {
        const Duration left = link.last_heard() + limits::master_silence - Clock::now();
        if (left <= Duration::zero())
            throw DisconnectionError("the master was silent for " +
                                     format_duration(to_seconds(limits::master_silence)));
        co_await sleep_for(left);
    }
}

asio::awaitable<void> fail_after(Duration time, std::string reason) {
    co_await sleep_for(time);
    throw DisconnectionError(reason);
}

asio::awaitable<Frame> next_frame(Connection& link) {
    try {
        const Frame frame = co_await link.next_frame();
        co_return frame;
    } catch (const BadMessageError& error) {
        throw DisconnectionError(std::string("what answers is no master: it sent ") + error.what());
    }
}

[[noreturn]] void end_by(const Refused& refused) {
    const auto reason = printable(refused.reason, limits::text_chars);
    if (refused.code == "stopping" || refused.code == "silent") throw DisconnectionError(reason);
    if (refused.code == "removed" || refused.code == "role") throw KeyRefusedError(reason);
    throw RefusedError(reason);
}

ToNode decode_from_master(const Frame& frame) {
    ParseArena arena;
    try {
        const auto envelope = open_envelope(frame.json, arena);
        if (auto message = decode<ToNode>(envelope)) return std::move(*message);
        // A newer master may say things that this slave does not know.
        log_debug("the master sent the unknown type " +
                  printable(envelope.type, limits::log_text_chars));
        return HeartbeatAck{};
    } catch (const BadMessageError& error) {
        throw DisconnectionError(std::string("the master sent ") + error.what());
    }
}

}  // namespace

asio::awaitable<void> MasterLink::run_once(HostPort target) {
    joined_ = false;
    const auto master = format_host_port(target.host, target.port);
    const TlsClient tls(identity_.key());
    Connection link = co_await dial(target);
    const std::string slow = "the master did not answer the handshake";
    co_await until_first_failure(link.connect_tls(tls), fail_after(limits::hello_time, slow));
    const std::string silent = "the master did not answer the hello";
    Welcome welcome;
    co_await until_first_failure(introduce(link, welcome), fail_after(limits::hello_time, silent));
    joined_ = true;
    identity_.keep_master(target);
    role_.on_joined(link, target, welcome);
    release_code_pages();
    try {
        co_await until_first_failure(read(link), beat(link), watch_silence(link));
    } catch (const BadMessageError& error) {
        throw DisconnectionError(std::string("the master sent ") + error.what());
    } catch (const boost::system::system_error&) {
        // This slave is being stopped: the master need not wait for our silence.
        role_.on_disconnected(master, "this slave is being stopped");
        Bye bye;
        bye.reason = "the slave was stopped";
        link.send(bye);
        link.end("stopped");
        throw;
    }
}

Hello MasterLink::make_hello() {
    Hello hello;
    hello.version = version;
    hello.protocol = protocol_version;
    hello.peer = "node";
    hello.role = options_.role;
    hello.name = options_.name;
    hello.fingerprint = identity_.fingerprint(machine_);
    hello.boot_id = machine_.boot_id();
    hello.heartbeat_seconds = to_seconds(options_.heartbeat);
    hello.machine = machine_.facts();
    hello.cpus = options_.cpus > 0 ? options_.cpus : hello.machine.cpu_cores;
    hello.memory_bytes =
        options_.memory_bytes > 0 ? options_.memory_bytes : hello.machine.ram_bytes;
    hello.labels = options_.labels;
    if (options_.role == "worker") {
        hello.resources = options_.resources;
        hello.isolation = options_.task_user.isolated() ? "user" : "none";
    }
    return hello;
}

asio::awaitable<void> MasterLink::introduce(Connection& link, Welcome& welcome) {
    const auto hello = make_hello();
    link.send(hello);
    for (;;) {
        const Frame frame = co_await next_frame(link);
        const auto message = decode_from_master(frame);
        if (const auto* refused = std::get_if<Refused>(&message)) end_by(*refused);
        if (const auto* answer = std::get_if<Welcome>(&message)) {
            accept_welcome(link, *answer);
            welcome = *answer;
            co_return;
        }
    }
}

void MasterLink::accept_welcome(Connection& link, const Welcome& welcome) {
    if (!welcome.node_key.empty()) {
        // Here, and for keep_master(), the loop of a node waits for its disk: once in its life.
        identity_.keep_node_key(welcome.node_key);
        link.send(KeyStored{});
    }
    const auto joined = "joined the cluster at " + link.peer() + " as " +
                        printable(welcome.name, limits::name_chars);
    log_info(joined);
    tell_service_manager("STATUS=" + joined);
}

bool MasterLink::try_other_key() {
    if (!options_.rejoin || !identity_.has_node_key()) return false;
    log_info("forgetting the key of this node, because of --rejoin");
    identity_.forget_node_key();
    return true;
}

std::string MasterLink::advice() const {
    return identity_.has_node_key()
               ? "this was the node's own key: --rejoin joins anew with the join key"
               : "this was the join key: \"rpicluster token\" on the master prints the right one";
}

asio::awaitable<void> MasterLink::read(Connection& link) {
    for (;;) {
        Frame frame;
        while (link.take_frame(frame)) {
            const auto message = decode_from_master(frame);
            if (const auto* refused = std::get_if<Refused>(&message)) end_by(*refused);
            if (const auto* bad = std::get_if<BadMessage>(&message))
                log_warning("the master did not understand: " +
                            printable(bad->reason, limits::log_text_chars));
            role_.on_message(message);
        }
        co_await link.receive();
    }
}

asio::awaitable<void> MasterLink::beat(Connection& link) {
    for (;;) {
        role_.perform_action(link, machine_.vitals(Clock::now()));
        co_await sleep_for(options_.heartbeat);
    }
}

}  // namespace rpic
