#pragma once

#include <boost/asio/co_spawn.hpp>
#include <list>
#include <optional>

#include "common/daemon.hpp"
#include "common/files.hpp"
#include "common/keys.hpp"
#include "common/limits.hpp"
#include "common/sleep.hpp"
#include "common/until_first_failure.hpp"
#include "common/version.hpp"
#include "common/wakeup.hpp"
#include "slave/core/backoff.hpp"
#include "test/bench/latencies.hpp"
#include "test/bench/peer.hpp"
#include "test/bench/work.hpp"

namespace rpic::bench {

/// Peers that join, beat and wait.
class Crowd {
  public:
    Crowd(const asio::any_io_executor& executor, const Options& options)
        : options_(options), changed_(executor), began_(Clock::now()) {
        if (options_.key_file.empty()) return;
        const auto text = read_file_if_there(options_.key_file, limits::key_file_bytes);
        join_key_ = canonical_key(text.value_or(""));
        if (join_key_.empty()) throw ConfigError("no key in " + options_.key_file);
    }

    asio::awaitable<void> run() {
        co_await until_first_failure(start_all(), beat_all(), wait_for_end(), wait_for_stop());
    }

    void report_end() {
        json::object end;
        end["event"] = "end";
        end["online"] = online_;
        end["dropped"] = dropped_;
        end["first_reason"] = first_reason_;
        end["beats"] = beats_;
        end["answers"] = answers_;
        end["answer_seconds"] = latencies_.report();
        end["tasks"] = tasks_;
        print(end);
    }

  private:
    struct Peer {
        std::size_t number = 0;
        bool connecting = true;        // for the first time
        std::string key;               // the join key, then its own
        Connection* link = nullptr;    // while joined
        std::string uuid;              // of a plain one
        std::optional<Instant> since;  // of the present link
        std::int64_t sequence = 0;
        Instant beat_at{};  // the last one
    };

    asio::awaitable<void> start_all() {
        const auto executor = co_await asio::this_coro::executor;
        auto seen = changed_.count();
        for (std::size_t number = 0; number < options_.connections; ++number) {
            while (connecting_ >= options_.at_once) seen = co_await changed_.wait(seen);
            auto& peer = peers_.emplace_back();
            peer.number = options_.first + number;
            peer.key = join_key_;
            ++connecting_;
            asio::co_spawn(executor, live(peer), [this](const std::exception_ptr& error) {
                if (error) failure_ = error;
                changed_.notify();
            });
        }
        for (;;) {
            if (failure_) std::rethrow_exception(failure_);
            seen = co_await changed_.wait(seen);
        }
    }

    /// One peer, from its first connection to the end of the program (or of the link, in `hold`).
    asio::awaitable<void> live(Peer& peer) {
        Backoff backoff(limits::reconnect_max);
        for (;;) {
            const bool was_online = co_await run_once(peer);
            settle(peer);
            if (options_.mode != "return") co_return;
            if (was_online) backoff.reset();
            const double chance = random_unit();
            const auto wait = backoff.next(Clock::now(), chance);
            co_await sleep_for(wait);
        }
    }

    /// One link; whether it got as far as the master's welcome.
    asio::awaitable<bool> run_once(Peer& peer) {
        std::optional<TlsClient> tls;
        if (!peer.key.empty()) tls.emplace(peer.key);
        bool joined = false;
        try {
            Connection link(co_await connect_from(options_, peer.number));
            const std::string slow = "the master did not answer the hello";
            co_await until_first_failure(introduce(peer, link, tls),
                                         fail_after(limits::hello_time, slow));
            joined = true;
            on_joined(peer, link);
            co_await read(peer, link);
        } catch (const DisconnectionError& error) {
            if (joined) on_dropped(peer);
            if (joined || options_.mode != "return") count_drop(error.what());
        }
        co_return joined;
    }

    static asio::awaitable<void> fail_after(Duration time, std::string reason) {
        co_await sleep_for(time);
        throw DisconnectionError(reason);
    }

    asio::awaitable<void> introduce(Peer& peer, Connection& link,
                                    const std::optional<TlsClient>& tls) {
        if (!tls) {
            link.send_bytes(plain_introduction(peer.number));
            const Frame frame = co_await link.next_frame();
            peer.uuid = payload_text(frame.json);
            co_return;
        }
        co_await link.connect_tls(*tls);
        link.send(hello_of(peer));
        const Frame frame = co_await link.next_frame();
        ParseArena arena;
        const auto envelope = open_envelope(frame.json, arena);
        const auto message = decode<ToNode>(envelope);
        const auto* welcome = message ? std::get_if<Welcome>(&*message) : nullptr;
        if (welcome == nullptr) throw DisconnectionError("refused: " + std::string(frame.json));
        if (welcome->node_key.empty()) co_return;
        peer.key = welcome->node_key;
        link.send(KeyStored{});
    }

    Hello hello_of(const Peer& peer) const {
        Hello hello;
        hello.version = version;
        hello.protocol = protocol_version;
        hello.peer = "node";
        hello.role = options_.mode == "work" ? "worker" : "basic";
        hello.cpus = options_.cpus;
        hello.memory_bytes = std::int64_t{3} << 30;
        hello.isolation = "user";
        hello.name = "board-" + std::to_string(peer.number);
        hello.fingerprint = "bench-" + std::to_string(peer.number);
        hello.boot_id = "4f1b7a52-0000-4000-8000-000000000000";
        hello.heartbeat_seconds = to_seconds(limits::heartbeat);
        hello.machine.hostname = hello.name;
        hello.machine.arch = "arm64";
        hello.machine.kernel_arch = "aarch64";
        hello.machine.cpu = "Cortex-A72";
        hello.machine.cpu_cores = 4;
        hello.machine.ram_bytes = std::int64_t{4} << 30;
        hello.machine.os = "Debian GNU/Linux 12 (bookworm)";
        hello.machine.kernel = "6.1.0-rpi8-rpi-v8";
        return hello;
    }

    asio::awaitable<void> read(const Peer& peer, Connection& link) {
        if (options_.mode == "work") co_await work(link);
        for (;;) {
            Frame frame;
            while (link.take_frame(frame)) take_answer(peer, frame.json);
            co_await link.receive();
        }
    }

    void take_answer(const Peer& peer, std::string_view json) {
        ++answers_;
        if (join_key_.empty()) return;
        ParseArena arena;
        const auto envelope = open_envelope(json, arena);
        if (envelope.type != HeartbeatAck::type_name) return;
        HeartbeatAck ack;
        from_json(*envelope.payload, ack, HeartbeatAck::type_name);
        if (ack.sequence == peer.sequence) latencies_.add(to_seconds(Clock::now() - peer.beat_at));
    }

    asio::awaitable<void> work(Connection& link) {
        NoOpTasks tasks;
        tasks.begin(link);
        for (;;) {
            Frame frame;
            const auto before = tasks.count();
            while (link.take_frame(frame)) tasks.take(frame.json, link);
            tasks.report(link);
            tasks_ += tasks.count() - before;
            co_await link.receive();
        }
    }

    void on_joined(Peer& peer, Connection& link) {
        peer.link = &link;
        peer.since = Clock::now();
        ++online_;
        settle(peer);
        if (online_ == options_.connections) report_all_online();
    }

    /// The first attempt of a peer is over: another one may have its first.
    void settle(Peer& peer) {
        if (!std::exchange(peer.connecting, false)) return;
        --connecting_;
        changed_.notify();
    }

    void on_dropped(Peer& peer) {
        peer.link = nullptr;
        if (online_-- == options_.connections) dropped_at_ = Clock::now();
    }

    void count_drop(std::string_view reason) {
        ++dropped_;
        if (first_reason_.empty()) first_reason_ = reason;
    }

    /// The instants at which each of those got its link that did not have one all the time.
    void report_all_online() {
        json::array instants;
        for (const auto& peer : peers_)
            if (*peer.since >= dropped_at_) instants.emplace_back(seconds_of(*peer.since));
        json::object event;
        event["event"] = "online";
        event["began"] = seconds_of(dropped_at_ == Instant{} ? began_ : dropped_at_);
        event["instants"] = std::move(instants);
        print(event);
    }

    /// Each peer beats once a period, the next a little later than the one before.
    asio::awaitable<void> beat_all() {
        const auto step = std::chrono::milliseconds(20);
        const auto period =
            std::chrono::duration_cast<Duration>(std::chrono::duration<double>(options_.heartbeat));
        auto last = Clock::now();
        double due = 0;
        auto next = peers_.begin();
        for (;;) {
            co_await sleep_for(step);
            const auto now = Clock::now();
            due += static_cast<double>(peers_.size()) * to_seconds(now - last) / to_seconds(period);
            last = now;
            for (; due >= 1; --due) {
                if (next == peers_.end()) next = peers_.begin();
                if (next == peers_.end()) break;
                beat(*next++, now);
            }
        }
    }

    void beat(Peer& peer, Instant now) {
        if (peer.link == nullptr) return;
        ++beats_;
        if (join_key_.empty()) return peer.link->send_bytes(plain_heartbeat(peer.uuid));
        if (now - peer.link->last_heard() >= limits::master_silence)
            return peer.link->close("the master was silent");
        Heartbeat message;
        message.sequence = ++peer.sequence;
        peer.beat_at = now;
        message.vitals.cpu_percent = 12.5;
        message.vitals.ram_available_bytes = std::int64_t{3} << 30;
        message.vitals.load_1m = 0.25;
        message.vitals.temperature_c = 48.3;
        peer.link->send(message);
    }

    asio::awaitable<void> wait_for_end() {
        const auto hour = std::chrono::hours(1);
        const std::chrono::duration<double> wish(options_.seconds);
        const auto time = std::chrono::duration_cast<Duration>(wish);
        const Duration length = options_.seconds > 0 ? time : Duration(hour);
        co_await sleep_for(length);
    }

    const Options& options_;
    std::string join_key_;  // empty: plain
    std::list<Peer> peers_;
    Wakeup changed_;
    Instant began_;
    Instant dropped_at_{};
    std::exception_ptr failure_;
    std::size_t connecting_ = 0;
    std::size_t online_ = 0;
    std::size_t dropped_ = 0;
    std::string first_reason_;
    std::int64_t beats_ = 0;
    std::int64_t answers_ = 0;
    Latencies latencies_;  // from a heartbeat to its answer
    std::int64_t tasks_ = 0;
};

}  // namespace rpic::bench
