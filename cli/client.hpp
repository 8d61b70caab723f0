#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/signal_set.hpp>
#include <deque>
#include <optional>
#include <stdexcept>
#include <string>

#include "cli/credentials.hpp"
#include "common/limits.hpp"
#include "common/master_client.hpp"

namespace rpic {

/// The master cannot be reached. Exit code 4.
class UnreachableError : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

/// Ctrl-C came while the command waited, after Client::watch_interrupts(). The connection can be
/// used further.
class InterruptedError : public std::runtime_error {
  public:
    InterruptedError() : std::runtime_error("interrupted") {}
};

/// A connection to the master for one command. Its calls wait for what they return: for an answer
/// at most limits::request_time, unless they are given another patience. They throw
/// UnreachableError, KeyRefusedError, RequestFailedError or InterruptedError.
///
/// Most verbs ask() one thing after the other. Those that last send() requests, take replies as
/// they come, and reconnect() after an UnreachableError.
class Client {
  public:
    explicit Client(const Credentials& credentials);

    const Welcome& welcome() const { return link_.welcome(); }
    const std::string& master() const { return master_; }  // HOST:PORT

    /// The answer of the given type.
    template <class Answer, class Request>
    Answer ask(Request request, Duration patience = limits::request_time) {
        return take<Answer>(reply_to(send(std::move(request)), patience));
    }

    /// Sends a request whose answer is taken later: several may be under way. `raw` goes behind the
    /// frame.
    template <class Request>
    void ask_ahead(Request request, std::string_view raw = {}) {
        ahead_.push_back(send(std::move(request), raw));
    }

    /// The answer to the oldest of them, and what came behind its frame.
    template <class Answer>
    Answer take_answer(std::string* raw = nullptr) {
        if (ahead_.empty()) throw UnreachableError("the connection was lost");
        const auto id = ahead_.front();
        ahead_.pop_front();
        auto reply = reply_to(id);
        if (raw != nullptr) *raw = std::move(reply.raw);
        return take<Answer>(std::move(reply));
    }

    /// All items of an answer that comes in pages; `list` is the member that holds them.
    template <class Answer, class Items, class Request>
    Items ask_all(Request request, Items Answer::*list) {
        const auto id = send(std::move(request));
        Items items;
        for (bool more = true; more;) {
            auto page = take<Answer>(reply_to(id));
            for (auto& item : page.*list) items.push_back(std::move(item));
            more = page.more;
        }
        return items;
    }

    /// Sends a request without waiting; the result is its id, which its replies carry.
    template <class Request>
    std::int64_t send(Request request, std::string_view raw = {}) {
        return link_.send(std::move(request), raw);
    }

    /// The next reply to one request. Replies to others wait for their turn. A request that failed
    /// is a reply, too.
    Reply reply_to(std::int64_t id, Duration patience = limits::request_time);

    /// The same, but nothing if there is none for so long: for requests that are answered whenever
    /// something happens.
    std::optional<Reply> wait_for(std::int64_t id, Duration patience);

    /// What a reply holds, which must be of that type. Throws RequestFailedError.
    template <class Answer>
    static Answer take(Reply reply) {
        return rpic::take_answer<Answer>(std::move(reply));
    }

    /// Connects anew, and tries until that works: the master may be away for an hour. Says so on
    /// stderr. Replies to earlier requests will not come any more. Throws UnreachableError after
    /// `patience`, and KeyRefusedError.
    void reconnect(Duration patience = std::chrono::hours(24 * 365));

    /// How often it has connected: a request that was sent before the last time is lost.
    int connections() const { return connections_; }

    /// From now on Ctrl-C does not end the process, but the call that waits, with InterruptedError.
    void watch_interrupts();
    /// The same when somebody types q. For a terminal on stdin that gives characters at once.
    void watch_quit_key();

    /// Waits so long; InterruptedError ends it sooner.
    void pause(Duration duration);

  private:
    void connect();
    asio::awaitable<bool> open();
    template <class Result>
    std::optional<Result> run(asio::awaitable<Result> work, Duration patience);
    void await_interrupt();
    void await_key();

    // Never destroyed: its end would wait for the system's resolver, however long that takes.
    static asio::io_context& loop();
    asio::io_context& io_ = loop();
    HostPort target_;
    MasterClient link_;
    std::string master_;
    std::deque<Reply> replies_;       // that nobody has asked for yet
    std::deque<std::int64_t> ahead_;  // ids of what ask_ahead() asked
    std::optional<asio::signal_set> signals_;
    std::optional<asio::posix::stream_descriptor> keys_;
    bool interrupted_ = false;
    int connections_ = 0;
};

}  // namespace rpic
