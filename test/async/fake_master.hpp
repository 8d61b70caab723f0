#pragma once

#include <stdlib.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <list>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "cli/credentials.hpp"
#include "common/connection.hpp"
#include "common/keys.hpp"
#include "common/limits.hpp"
#include "common/messages.hpp"
#include "common/output.hpp"
#include "common/selector.hpp"

/// A master that does what a test says, on a thread of its own: the command waits for its answers
/// on the test's thread.
namespace rpic::test {

/// A task of the fake master's only job.
struct FakeTask {
    TaskView view;
    std::string output;  // records
};

class FakeMaster {
  public:
    /// Looks at each message first; true: it has dealt with it, so that the fake does not.
    using Hook = std::function<bool(FakeMaster&, Connection&, const FromClient&)>;

    explicit FakeMaster(Hook hook = {})
        : hook_(std::move(hook)),
          acceptor_(io_, tcp::endpoint(asio::ip::address_v4::loopback(), 0)),
          tls_([this](std::string_view) { return std::optional(key_psk(key_)); }) {
        port_ = acceptor_.local_endpoint().port();
        job.id = "7";
        job.state = "running";
        asio::co_spawn(io_, accept(), [](const std::exception_ptr&) {});
        thread_ = std::thread([this] { io_.run(); });
    }
    ~FakeMaster() { stop(); }

    Credentials credentials() const {
        Credentials found;
        found.master = {"127.0.0.1", port_};
        found.key = key_;
        return found;
    }

    /// Ends the thread: afterwards the test may look at everything.
    void stop() {
        if (!thread_.joinable()) return;
        asio::post(io_, [this] {
            boost::system::error_code ignored;
            acceptor_.close(ignored);
            for (auto* connection : open_) connection->close("the test is over");
        });
        thread_.join();
    }

    // What the fake knows; its thread alone touches it until stop().
    JobView job;
    JobSpec spec;
    std::map<std::int64_t, FakeTask> tasks;
    std::vector<JobSpec> submitted;
    std::vector<std::string> cancelled;
    std::vector<RetryJob> retried;
    std::map<std::string, std::string> blobs;
    bool end_after_answer = false;  // the connection, as a restart does
    int connections = 0;
    int requests = 0;

    void add_task(std::int64_t index, const std::string& out, int code = 0) {
        auto& task = tasks[index];
        task.view.index = index;
        task.view.node = "pi" + std::to_string(index);
        task.view.attempt = 1;
        task.view.state = code == 0 ? "done" : "failed";
        task.view.exit_code = code;
        if (!out.empty()) append_output(task.output, OutputStream::out, out);
        task.view.output_bytes = static_cast<std::int64_t>(task.output.size());
        count();
    }

    void count() {
        job.tasks = {{"queued", 0}, {"running", 0}, {"done", 0}, {"failed", 0}, {"cancelled", 0}};
        for (const auto& [index, task] : tasks) ++job.tasks[task.view.state];
    }

    void send_jobs(Connection& connection, std::int64_t id) {
        count();
        JobList list;
        list.id = id;
        list.jobs.push_back(job);
        connection.send(list);
    }

    void send_done(Connection& connection, std::int64_t id) {
        Done done;
        done.id = id;
        connection.send(done);
    }

    void send_output(Connection& connection, const ReadOutput& request, std::size_t most) {
        const auto& task = tasks.at(request.task);
        Output answer;
        answer.id = request.id;
        answer.attempt = task.view.attempt;
        answer.offset = request.offset;
        const auto from = std::min(static_cast<std::size_t>(request.offset), task.output.size());
        const auto part = std::string_view(task.output).substr(from, most);
        answer.complete = from + part.size() == task.output.size();
        answer.final = true;
        connection.send(answer, part);
    }

  private:
    asio::awaitable<void> accept() {
        for (;;) {
            tcp::socket socket = co_await acceptor_.async_accept(asio::use_awaitable);
            asio::co_spawn(io_, serve(std::move(socket)), [](const std::exception_ptr&) {});
        }
    }

    asio::awaitable<void> serve(tcp::socket socket) {
        Connection connection(std::move(socket));
        open_.push_back(&connection);
        std::exception_ptr failure;
        try {
            co_await connection.accept_tls(tls_);
            connection.set_frame_limits(limits::control_frame_bytes, limits::raw_tail_bytes);
            ++connections;
            for (;;) {
                const Frame frame = co_await connection.next_frame();
                handle(connection, frame);
            }
        } catch (const std::exception&) {
            failure = std::current_exception();
        }
        open_.remove(&connection);
    }

    void handle(Connection& connection, const Frame& frame) {
        ParseArena arena;
        const auto envelope = open_envelope(frame.json, arena);
        if (envelope.type == Hello::type_name) {
            Welcome welcome;
            welcome.version = "fake";
            connection.send(welcome);
            return;
        }
        if (envelope.type == Bulk::type_name)
            return;  // a node's second link; it asks as clients do
        const auto message = decode<FromClient>(envelope);
        if (!message) throw DisconnectionError("an unknown message");
        ++requests;
        if (hook_ && hook_(*this, connection, *message)) return;
        raw_ = frame.raw;
        std::visit([&](const auto& request) { answer(connection, request); }, *message);
        if (std::exchange(end_after_answer, false)) connection.end("restarted");
    }

    void answer(Connection& connection, const Submit& request) {
        const bool known =
            !submitted.empty() && request.spec.idempotency_key == submitted.back().idempotency_key;
        if (!known) submitted.push_back(request.spec);
        spec = request.spec;
        job.command = spec.command;
        Submitted answer;
        answer.id = request.id;
        count();
        answer.job = job;
        connection.send(answer);
    }
    void answer(Connection& connection, const ListJobs& request) {
        send_jobs(connection, request.id);
    }
    void answer(Connection& connection, const GetJob& request) {
        count();
        JobDetail detail;
        detail.id = request.id;
        detail.job = job;
        detail.job.command.clear();
        detail.spec = spec;
        connection.send(detail);
        const auto selector = NumberSelector::parse(request.tasks);
        TaskList list;
        list.id = request.id;
        for (const auto& [index, task] : tasks) {
            if (index <= request.after || !selector.contains(index)) continue;
            if (!request.state.empty() && request.state != task.view.state) continue;
            if (static_cast<std::int64_t>(list.tasks.size()) == request.limit) {
                list.next = list.tasks.back().index;
                break;
            }
            list.tasks.push_back(task.view);
        }
        connection.send(list);
    }
    void answer(Connection& connection, const WatchJobs& request) {
        send_jobs(connection, request.id);
        send_done(connection, request.id);
    }
    void answer(Connection& connection, const ReadOutput& request) {
        send_output(connection, request, limits::chunk_bytes);
    }
    void answer(Connection& connection, const CancelJobs& request) {
        cancelled.push_back(request.jobs);
        send_done(connection, request.id);
    }
    void answer(Connection& connection, const RetryJob& request) {
        retried.push_back(request);
        send_done(connection, request.id);
    }
    void answer(Connection& connection, const GetStatus& request) {
        Status status;
        status.id = request.id;
        connection.send(status);
    }
    void answer(Connection& connection, const HaveBlobs& request) {
        MissingBlobs missing;
        missing.id = request.id;
        for (const auto& blob : request.blobs)
            if (blobs.count(blob) == 0) missing.blobs.push_back(blob);
        connection.send(missing);
    }
    void answer(Connection& connection, const PutChunk& request) {
        auto& blob = blobs[request.blob];
        // As the real one: what does not begin where the rest ends is not taken.
        if (request.offset == 0) blob.clear();
        if (request.offset == static_cast<std::int64_t>(blob.size())) blob += raw_;
        ChunkStored stored;
        stored.id = request.id;
        stored.received = static_cast<std::int64_t>(blob.size());
        connection.send(stored);
    }
    template <class Other>
    void answer(Connection& connection, const Other& request) {
        Failed failed;
        if constexpr (requires { request.id; }) failed.id = request.id;
        failed.code = "bad_request";
        failed.reason = "the fake master does not know this";
        connection.send(failed);
    }

    Hook hook_;
    asio::io_context io_;
    tcp::acceptor acceptor_;
    std::string key_ = make_key();
    TlsServer tls_;
    std::uint16_t port_ = 0;
    std::list<Connection*> open_;
    std::string raw_;
    std::thread thread_;
};

/// A file in memory: what was written can be read.
class Capture {
  public:
    Capture() : file_(::open_memstream(&text_, &size_)) {}
    ~Capture() {
        std::fclose(file_);
        std::free(text_);
    }
    Capture(const Capture&) = delete;
    Capture& operator=(const Capture&) = delete;

    std::FILE* file() { return file_; }
    std::string text() {
        std::fflush(file_);
        return {text_, size_};
    }

  private:
    char* text_ = nullptr;
    std::size_t size_ = 0;
    std::FILE* file_;
};

}  // namespace rpic::test
