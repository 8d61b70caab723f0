#pragma once

#include <catch2/catch.hpp>
#include <memory>
#include <optional>
#include <vector>

#include "common/files.hpp"
#include "common/keys.hpp"
#include "common/limits.hpp"
#include "common/sleep.hpp"
#include "common/until_first_failure.hpp"
#include "slave/worker_role.hpp"
#include "test/async/loopback.hpp"
#include "test/async/runner_bench.hpp"

namespace rpic::test {

using namespace std::chrono_literals;

/// The role worker on a loop of its own, with the real runner, and a master that the test plays
/// over a real connection.
class WorkerBench {
  public:
    explicit WorkerBench(RunnerFolder& place) : folder(place) {
        options.state = options.folder = folder.path;
        options.tasks = folder.path / "tasks";
        options.task_user = find_task_user("", {});
        options.reboot_command = "echo now > " + (folder.path / "rebooted").string();
        write_secret(options.folder / "node.key", make_key());
    }

    /// Plays one life of a slave: the script runs beside it, and its end is the slave's end.
    template <class Script>
    void play(Script script) {
        asio::io_context io;
        Identity identity(options);
        WorkerRole role(io.get_executor(), options, identity, capacity);
        Wakeup arrived(io.get_executor());
        role_ = &role;
        arrived_ = &arrived;
        auto everything = [&]() -> asio::awaitable<void> {
            co_await until_first_failure(role.run(), script(), listen());
        };
        // The sockets go before their loop, also when a check has failed.
        std::exception_ptr failure;
        try {
            run_all(io, everything());
        } catch (...) {
            failure = std::current_exception();
        }
        disconnect();
        role_ = nullptr;
        next_.reset();
        if (failure) std::rethrow_exception(failure);
    }

    asio::awaitable<void> connect() {
        const auto executor = co_await asio::this_coro::executor;
        disconnect();
        tcp::acceptor acceptor(executor, tcp::endpoint(asio::ip::address_v4::loopback(), 0));
        tcp::socket near(executor);
        next_.emplace(executor);
        near.connect(acceptor.local_endpoint());
        acceptor.accept(*next_);
        arrived_->notify();
        link_ = std::make_unique<Connection>(std::move(near));
        resync.clear();
        resync_complete = false;
        Welcome welcome;
        welcome.name = "pi";
        role_->on_joined(*link_, bulk_master, welcome);
    }
    void disconnect() {
        if (!link_) return;
        role_->on_disconnected("master", "the test said so");
        link_.reset();
    }

    /// Waits until that is so; fails the test after 15 s.
    template <class Condition>
    asio::awaitable<void> until(Condition condition) {
        const auto deadline = Clock::now() + 15s;
        while (!condition() && Clock::now() < deadline) co_await sleep_for(2ms);
        REQUIRE(condition());
    }

    asio::awaitable<void> connect_and_adopt() {
        co_await connect();
        const auto complete = [this] { return resync_complete; };
        co_await until(complete);
        Resynced answer;
        for (const auto& state : resync) {
            Verdict verdict;
            verdict.key = state.key;
            verdict.verdict = "adopt";
            answer.verdicts.push_back(verdict);
        }
        say(answer);
    }

    template <class Message>
    void say(const Message& message) {
        REQUIRE(link_);
        role_->on_message(ToNode(message));
    }
    AttemptKey order(NodeJob job, bool ahead = false, std::string item = {}) {
        StartTasks orders;
        orders.job = ++jobs_;
        orders.spec = std::move(job);
        TaskOrder task;
        task.task = 3;
        task.attempt = 1;
        task.item = std::move(item);
        task.ahead = ahead;
        orders.tasks.push_back(task);
        say(orders);
        return {jobs_, 3, 1};
    }
    AttemptKey order(const std::string& shell) { return order(shell_job(shell)); }
    static NodeJob shell_job(const std::string& shell) {
        NodeJob job;
        job.command = {"/bin/sh", "-c", shell};
        return job;
    }
    void acknowledge(const AttemptKey& key) {
        AckAttempts ack;
        ack.attempts.push_back(key);
        say(ack);
    }
    asio::awaitable<void> until_reported(AttemptKey key) {
        const auto told = [&] { return reports.contains(key); };
        co_await until(told);
    }
    std::string out(const AttemptKey& key) { return stream_of(outputs[key], OutputStream::out); }
    std::filesystem::path work_folder(const AttemptKey& key) const {
        return options.tasks / folder_name(key);
    }

    RunnerFolder& folder;
    SlaveOptions options;
    Holding capacity = {4000, 1 << 30, {}};
    HostPort bulk_master{"127.0.0.1", 9};  // where files go and come from; nowhere
    std::vector<AttemptState> resync;
    bool resync_complete = false;
    std::map<AttemptKey, AttemptReport> reports;
    std::map<AttemptKey, std::string> outputs;
    std::vector<AttemptKey> started;
    std::vector<AttemptKey> retracted;
    int messages_of_ends = 0;

  private:
    /// The master's ear, on one connection after the other.
    asio::awaitable<void> listen() {
        auto seen = arrived_->count();
        for (;;) {
            while (!next_) seen = co_await arrived_->wait(seen);
            Connection master(std::move(*next_));
            master.set_frame_limits(limits::control_frame_bytes, limits::raw_tail_bytes);
            next_.reset();
            try {
                for (;;) {
                    Frame frame;
                    while (master.take_frame(frame)) take(frame);
                    co_await master.receive();
                }
            } catch (const DisconnectionError&) {
                continue;
            }
        }
    }
    void take(const Frame& frame) {
        ParseArena arena;
        const auto message = decode<FromNode>(open_envelope(frame.json, arena));
        REQUIRE(message);
        if (const auto* page = std::get_if<Resync>(&*message)) take(*page);
        if (const auto* page = std::get_if<AttemptsEnded>(&*message)) take(*page, frame.raw);
        if (const auto* page = std::get_if<AttemptsStarted>(&*message))
            started.insert(started.end(), page->attempts.begin(), page->attempts.end());
        if (const auto* page = std::get_if<AttemptsRetracted>(&*message))
            retracted.insert(retracted.end(), page->attempts.begin(), page->attempts.end());
    }
    void take(const Resync& page) {
        REQUIRE_FALSE(resync_complete);
        resync.insert(resync.end(), page.attempts.begin(), page.attempts.end());
        resync_complete = !page.more;
    }
    void take(const AttemptsEnded& page, std::string_view raw) {
        ++messages_of_ends;
        for (const auto& report : page.reports) {
            const auto bytes = static_cast<std::size_t>(report.inline_bytes);
            REQUIRE(bytes <= raw.size());
            reports[report.key] = report;
            outputs[report.key] = raw.substr(0, bytes);
            raw.remove_prefix(bytes);
        }
        CHECK(raw.empty());
    }
    WorkerRole* role_ = nullptr;
    Wakeup* arrived_ = nullptr;
    std::optional<tcp::socket> next_;  // the master's side of a connection that nobody reads yet
    std::unique_ptr<Connection> link_;
    std::int64_t jobs_ = 0;
};

}  // namespace rpic::test
