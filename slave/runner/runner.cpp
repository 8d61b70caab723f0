#include "slave/runner/runner.hpp"

#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cstdio>

#include "common/at_most.hpp"
#include "common/limits.hpp"
#include "common/until_first_failure.hpp"
#include "common/version.hpp"
#include "slave/runner/runner_log.hpp"

namespace rpic {

namespace asio = boost::asio;

void Runner::listen() {
    listener_ = listen_in(options_.folder);
}

asio::awaitable<void> Runner::run() {
    idle_since_ = Clock::now();
    co_await until_first_failure(accept_slaves(), await_signals(), watch());
    if (slave_ != nullptr) slave_->close("the runner ends");
}

asio::awaitable<void> Runner::accept_slaves() {
    asio::local::stream_protocol::acceptor acceptor(executor_, asio::local::stream_protocol(),
                                                    listener_);
    for (;;) {
        boost::system::error_code error;
        LocalSocket socket(executor_);
        auto token = asio::redirect_error(asio::use_awaitable, error);
        co_await acceptor.async_accept(socket, token);
        if (error == asio::error::operation_aborted) throw boost::system::system_error(error);
        if (error) continue;
        if (!peer_is_trusted(socket.native_handle())) continue;
        asio::co_spawn(executor_, serve(std::move(socket)), [](const std::exception_ptr&) {});
    }
}

asio::awaitable<void> Runner::serve(LocalSocket socket) {
    LocalConnection connection(std::move(socket));
    std::string reason;
    try {
        co_await converse(connection);
    } catch (const std::exception& error) {
        reason = error.what();
    }
    if (slave_ != &connection) co_return;
    slave_ = nullptr;
    readers_.clear();
    held_.clear();
    idle_since_ = Clock::now();
    timer_.cancel();
    note("the slave is gone: " + reason);
}

asio::awaitable<void> Runner::converse(LocalConnection& connection) {
    for (;;) {
        Frame frame;
        while (connection.take_frame(frame)) {
            ParseArena arena;
            const auto message = decode<ToRunner>(open_envelope(frame.json, arena));
            if (!message) continue;  // of a newer slave
            const bool attaches = std::holds_alternative<Attach>(*message);
            if (!attaches && slave_ != &connection)
                throw BadMessageError("something before its attach");
            std::visit([&](const auto& each) { on(connection, each); }, *message);
        }
        co_await connection.receive();
    }
}

void Runner::on(LocalConnection& connection, const Attach& message) {
    if (slave_ != nullptr && slave_ != &connection) {
        slave_->close("replaced by another slave");
        readers_.clear();
        held_.clear();
    }
    slave_ = &connection;
    idle_since_ = Clock::now();
    note("a slave of version " + message.version + " attached");
    Attached page;
    page.version = version;
    page.protocol = runner_protocol_version;
    page.pid = ::getpid();
    page.more = true;
    std::size_t bytes = 0;
    const auto add = [&](RunnerAttempt attempt) {
        bytes +=
            attempt.context.size() + attempt.folder.size() + attempt.report.reason.size() + 512;
        page.attempts.push_back(std::move(attempt));
        if (bytes < limits::page_bytes) return;
        connection.send(page);
        page.attempts.clear();
        bytes = 0;
    };
    for (const auto& [key, attempt] : running_) add(describe(*attempt));
    for (const auto& [key, ended] : ended_) add(describe(ended));
    page.more = false;
    connection.send(page);
}

void Runner::on(LocalConnection& connection, const Launch& message) {
    const auto& key = message.spec.key;
    if (const auto known = running_.find(key); known != running_.end()) {
        Launched answer;
        answer.key = key;
        answer.pid = known->second->pid;
        connection.send(answer);
    } else if (const auto ended = ended_.find(key); ended != ended_.end()) {
        tell(ended->second, output_of(ended->second, 0, limits::inline_output_bytes));
    } else if (stopping_ || held_.contains(key)) {
        return;
    } else if (!message.after || !running_.contains(*message.after) ||
               !held_.hold(*message.after, message.spec)) {
        launch(message.spec);
    }
}

void Runner::on(LocalConnection&, const StartHeld& message) {
    for (const auto& key : message.attempts)
        if (const auto spec = held_.take(key)) launch(*spec);
}

void Runner::on(LocalConnection&, const KillAttempts& message) {
    for (const auto& key : message.attempts) {
        if (const auto spec = held_.take(key)) {
            RunningAttempt never_ran(output_path(key));
            never_ran.spec = *spec;
            fail(never_ran, message.outcome, message.reason);
        }
        const auto known = running_.find(key);
        if (known == running_.end()) continue;
        auto& attempt = *known->second;
        begin_kill(attempt, message.outcome, message.reason, attempt.grace);
    }
}

void Runner::on(LocalConnection&, const ForgetAttempts& message) {
    for (const auto& key : message.attempts) {
        const auto known = ended_.find(key);
        if (known == ended_.end()) continue;
        if (!known->second.attempt.output_file.empty())
            ::unlink(known->second.attempt.output_file.c_str());
        ended_.erase(known);
        sync_plan_.remove(key);
        spool_.remove(key);
    }
    const bool rewritten = spool_.write_removals();
    if (rewritten) sync_plan_.on_spool_rewritten();
    if (rewritten || spool_.untidy()) look_within(limits::spool_sync);
    idle_since_ = Clock::now();
}

void Runner::on(LocalConnection&, const RenewLease& message) {
    const Instant sent{Duration{message.sent_at_ns}};
    lease_.renew(sent, Clock::now());
}

void Runner::on(LocalConnection&, const ReadAttempt& message) {
    const Reader reader{message.id, message.key, message.offset};
    const auto known = running_.find(message.key);
    const bool nothing_yet =
        known != running_.end() && message.offset >= known->second->output.size();
    if (message.wait && nothing_yet && readers_.size() < limits::runner_attempts)
        readers_.push_back(reader);
    else
        answer(reader);
}

/// What there is now. A reader of an attempt that has ended is told when it has seen all.
void Runner::answer(const Reader& reader) {
    if (slave_ == nullptr) return;
    AttemptOutput message;
    message.id = reader.id;
    message.key = reader.key;
    message.offset = reader.offset;
    std::string bytes;
    if (const auto known = running_.find(reader.key); known != running_.end()) {
        bytes = known->second->output.read(reader.offset, limits::chunk_bytes);
    } else if (const auto ended = ended_.find(reader.key); ended != ended_.end()) {
        const auto& last = ended->second;
        bytes = output_of(last, reader.offset, limits::chunk_bytes);
        const auto end = reader.offset + static_cast<std::int64_t>(bytes.size());
        // One whose file was lost is complete where the file ends.
        message.complete = end >= last.attempt.report.output_bytes || bytes.empty();
    } else {
        message.known = false;
    }
    slave_->send(message, bytes);
}

void Runner::answer_readers(const AttemptKey& key) {
    std::vector<Reader> others;
    std::vector<Reader> now;
    for (const auto& each : readers_) (each.key == key ? now : others).push_back(each);
    readers_ = std::move(others);
    for (const auto& each : now) answer(each);
}

RunnerAttempt Runner::describe(const RunningAttempt& attempt) const {
    RunnerAttempt description;
    description.key = description.report.key = attempt.spec.key;
    description.pid = attempt.pid;
    description.running_seconds = to_seconds(Clock::now() - attempt.started);
    description.folder = attempt.spec.folder;
    description.context = attempt.spec.context;
    return description;
}

RunnerAttempt Runner::describe(const EndedAttempt& ended) const {
    auto description = ended.attempt;
    description.report.age_seconds = to_seconds(Clock::now() - ended.ended_at);
    return description;
}

/// At most `max_bytes` of what an attempt that has ended printed.
std::string Runner::output_of(const EndedAttempt& ended, std::int64_t offset,
                              std::size_t max_bytes) const {
    if (offset < 0) return {};
    if (!ended.attempt.output_file.empty())
        return read_output_file(ended.attempt.output_file, offset, max_bytes);
    const auto begin = at_most(offset, ended.inline_bytes);
    if (begin == ended.inline_bytes) return {};
    const auto size = std::min(max_bytes, ended.inline_bytes - begin);
    if (!ended.in_spool) return ended.output.substr(begin, size);
    return spool_.read(ended.attempt.key, ended.record_head + begin, size);
}

std::filesystem::path Runner::output_path(const AttemptKey& key) const {
    return options_.folder / "output" /
           (std::to_string(key.job) + "." + std::to_string(key.task) + "." +
            std::to_string(key.attempt));
}

}  // namespace rpic
