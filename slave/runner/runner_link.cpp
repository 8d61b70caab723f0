#include "slave/runner/runner_link.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <optional>

#include "common/files.hpp"
#include "common/limits.hpp"
#include "common/log.hpp"
#include "common/sleep.hpp"
#include "common/text.hpp"
#include "common/version.hpp"
#include "slave/runner/runner_start.hpp"

namespace rpic {

namespace asio = boost::asio;

namespace {

bool has_bytes(const std::filesystem::path& path) {
    struct stat status {};
    return ::stat(path.c_str(), &status) == 0 && status.st_size > 0;
}

bool somebody_listens(const std::filesystem::path& folder) {
    const int socket = connect_in(folder);
    if (socket < 0) return false;
    ::close(socket);
    return true;
}

}  // namespace

RunnerLink::RunnerLink(asio::any_io_executor executor, std::filesystem::path folder,
                       std::filesystem::path program, std::string log_file, std::string command)
    : executor_(std::move(executor)),
      folder_(std::move(folder)),
      program_(std::move(program)),
      log_file_(std::move(log_file)),
      command_(std::move(command)),
      wanted_(executor_) {
    make_private_folder(folder_);
}

bool RunnerLink::something_left() const {
    return has_bytes(folder_ / "running") || has_bytes(folder_ / "spool") ||
           somebody_listens(folder_);
}

asio::awaitable<void> RunnerLink::run(RunnerHandler& handler) {
    auto seen = wanted_.count();
    bool wanted = something_left();
    for (;;) {
        if (!wanted && waiting_.empty()) handler.on_no_runner();
        while (!wanted && waiting_.empty()) seen = co_await wanted_.wait(seen);
        std::string reason;
        bool unusable = false;
        try {
            auto socket = co_await connect();
            co_await serve(std::move(socket), handler);
        } catch (const DisconnectionError& error) {
            reason = error.what();
        } catch (const BadMessageError& error) {
            reason = std::string("it sent ") + error.what();
        } catch (const ConfigError& error) {
            reason = error.what();
            unusable = true;
        }
        gone(handler, reason);
        if (unusable) {
            log_rarely(Severity::error, "runner_unusable", folder_.string(), reason);
            give_up_launches(handler, 0, reason);
        }
        wanted = something_left();
        if (unusable && wanted) co_await sleep_for(limits::runner_retry);
    }
}

std::vector<std::string> RunnerLink::start_words() const {
    if (!command_.empty()) return {"/bin/sh", "-c", command_};
    const auto program = program_.empty() ? find_runner() : program_;
    std::vector<std::string> words = {program, "--background", "--folder", folder_};
    if (!log_file_.empty()) words.insert(words.end(), {"--log-file", log_file_});
    return words;
}

/// Connects, and starts the program if nobody listens.
asio::awaitable<LocalSocket> RunnerLink::connect() {
    const auto deadline = Clock::now() + limits::runner_start;
    std::optional<RunnerStart> start;
    Duration pause = std::chrono::milliseconds(1);
    for (;;) {
        if (const int connected = connect_in(folder_); connected >= 0) {
            LocalSocket socket(executor_, boost::asio::local::stream_protocol(), connected);
            if (!peer_is_trusted(connected))
                throw ConfigError("another user listens on " + (folder_ / "socket").string());
            // The starter ends just after the runner listens.
            while (start && !start->ended() && Clock::now() < deadline)
                co_await sleep_for(std::chrono::milliseconds(1));
            co_return std::move(socket);
        }
        if (!start)
            start.emplace(start_words());
        else if (start->ready())
            start.reset();  // it listens now; if it has ended again already, another one starts
        if (Clock::now() > deadline)
            throw ConfigError("the runner does not answer within " +
                              std::to_string(limits::runner_start.count()) + " s in " +
                              folder_.string());
        co_await sleep_for(pause);
        pause = std::min<Duration>(pause * 2, std::chrono::milliseconds(50));
    }
}

asio::awaitable<void> RunnerLink::serve(LocalSocket socket, RunnerHandler& handler) {
    LocalConnection connection(std::move(socket));
    connection_ = &connection;
    std::exception_ptr failure;
    try {
        co_await attach(connection, handler);
        for (;;) {
            Frame frame;
            while (connection.take_frame(frame)) dispatch(frame, handler);
            co_await connection.receive();
        }
    } catch (...) {
        failure = std::current_exception();
    }
    connection_ = nullptr;
    std::rethrow_exception(failure);
}

asio::awaitable<void> RunnerLink::attach(LocalConnection& connection, RunnerHandler& handler) {
    Attach hello;
    hello.version = version;
    hello.protocol = runner_protocol_version;
    connection.send(hello);
    std::vector<RunnerAttempt> attempts;
    for (bool more = true; more;) {
        Frame frame;
        while (!connection.take_frame(frame)) co_await connection.receive();
        ParseArena arena;
        auto message = decode<std::variant<Attached>>(open_envelope(frame.json, arena));
        if (!message) throw BadMessageError("something else than its attempts");
        auto& page = std::get<Attached>(*message);
        for (auto& each : page.attempts) attempts.push_back(std::move(each));
        if (attempts.size() > limits::runner_attempts + waiting_.size())
            throw BadMessageError("more attempts than a runner has");
        if (page.protocol != runner_protocol_version)
            throw ConfigError("the runner (process " + std::to_string(page.pid) +
                              ") is of version " + printable(page.version, limits::name_chars) +
                              ", which this slave does not understand: it ends with its tasks, or "
                              "with SIGTERM");
        more = page.more;
        pid_ = page.pid;
    }
    attached_ = true;
    for (const auto& each : attempts) waiting_.answered(each.key);
    handler.on_attached(attempts);
    send_waiting(attempts);
}

void RunnerLink::dispatch(const Frame& frame, RunnerHandler& handler) {
    ParseArena arena;
    auto message = decode<FromRunner>(open_envelope(frame.json, arena));
    if (!message) return;
    if (const auto* launched = std::get_if<Launched>(&*message)) {
        waiting_.answered(launched->key);
        handler.on_launched(*launched);
    } else if (const auto* ended = std::get_if<Ended>(&*message)) {
        waiting_.answered(ended->attempt.key);
        handler.on_ended(ended->attempt, frame.raw);
    } else if (const auto* output = std::get_if<AttemptOutput>(&*message)) {
        handler.on_output(*output, frame.raw);
    }
}

/// Launches that no runner took, those of this moment included.
void RunnerLink::send_waiting(const std::vector<RunnerAttempt>& known) {
    for (const auto& key : waiting_.on_attached(known)) connection_->send_bytes(waiting_.sent(key));
}

void RunnerLink::gone(RunnerHandler& handler, const std::string& reason) {
    waiting_.on_runner_gone();
    if (attached_) {
        attached_ = false;
        pid_ = 0;
        handler.on_runner_gone(reason);
    }
    give_up_launches(
        handler, limits::runner_deaths,
        std::to_string(limits::runner_deaths) + " runners ended while they started it: " + reason);
}

/// Answers the launches during which so many runners ended.
void RunnerLink::give_up_launches(RunnerHandler& handler, int deaths, const std::string& reason) {
    for (const auto& key : waiting_.give_up(deaths)) {
        RunnerAttempt attempt;
        attempt.key = attempt.report.key = key;
        attempt.ended = true;
        attempt.report.outcome = "node";
        attempt.report.reason = reason;
        handler.on_ended(attempt, {});
    }
}

bool RunnerLink::send(const Launch& message) {
    auto frame = encode(message);
    if (frame.size() > limits::runner_frame_bytes) return false;
    if (waiting_.bytes() + frame.size() > limits::outbox_hard_bytes) return false;
    const auto& key = message.spec.key;
    if (!waiting_.add(key, std::move(frame))) return true;  // it is under way
    if (waiting_.open())
        connection_->send_bytes(waiting_.sent(key));
    else
        wanted_.notify();
    return true;
}

template <class Message>
void RunnerLink::send_if_attached(const Message& message) {
    if (attached_) connection_->send(message);
}

void RunnerLink::send(const StartHeld& message) {
    send_if_attached(message);
}

void RunnerLink::send(const KillAttempts& message) {
    send_if_attached(message);
}

void RunnerLink::send(const ForgetAttempts& message) {
    send_if_attached(message);
}

void RunnerLink::send(const RenewLease& message) {
    send_if_attached(message);
}

void RunnerLink::send(const ReadAttempt& message) {
    send_if_attached(message);
}

}  // namespace rpic
