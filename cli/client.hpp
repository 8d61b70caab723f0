#pragma once

#include <boost/asio/io_context.hpp>
#include <optional>
#include <stdexcept>
#include <string>

#include "cli/credentials.hpp"
#include "common/connection.hpp"
#include "common/messages.hpp"

namespace rpic {

/// The master cannot be reached. Exit code 4.
class UnreachableError : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

/// The master answered that it cannot do what was asked.
class RequestFailedError : public std::runtime_error {
  public:
    RequestFailedError(std::string failure_code, const std::string& reason)
        : std::runtime_error(reason), code(std::move(failure_code)) {}
    std::string code;  // as in Failed
};

/// A connection to the master for one command: each call sends a request and waits for its answer,
/// at most limits::request_time. Throws UnreachableError, KeyRefusedError or RequestFailedError.
class Client {
  public:
    explicit Client(const Credentials& credentials);

    const Welcome& welcome() const { return welcome_; }

    /// The answer of the given type.
    template <class Answer, class Request>
    Answer ask(Request request) {
        request.id = ++requests_;
        connection_->send(request);
        return std::get<Answer>(next_answer());
    }

    /// Sends a request whose answer is taken later: several may be under way, and are answered in
    /// their order. `raw` goes behind the frame.
    template <class Request>
    void ask_ahead(Request request, std::string_view raw = {}) {
        request.id = ++requests_;
        connection_->send(request, raw);
    }

    /// The answer to the oldest of them, and what came behind its frame.
    template <class Answer>
    Answer take_answer(std::string* raw = nullptr) {
        auto answer = std::get<Answer>(next_answer());
        if (raw != nullptr) *raw = std::move(raw_);
        return answer;
    }

    /// All items of an answer that comes in pages; `list` is the member that holds them.
    template <class Answer, class Items, class Request>
    Items ask_all(Request request, Items Answer::*list) {
        auto page = ask<Answer>(request);
        Items items = std::move(page.*list);
        while (page.more) {
            page = std::get<Answer>(next_answer());
            for (auto& item : page.*list) items.push_back(std::move(item));
        }
        return items;
    }

  private:
    asio::awaitable<void> open(const Credentials& credentials);
    asio::awaitable<ToClient> receive();
    ToClient next_answer();
    template <class Result>
    Result run(asio::awaitable<Result> work);

    // Never destroyed: its end would wait for the system's resolver, however long that takes.
    static asio::io_context& loop();
    asio::io_context& io_ = loop();
    TlsClient tls_;
    std::string master_;
    std::optional<Connection> connection_;
    Welcome welcome_;
    std::string raw_;  // behind the last frame
    std::int64_t requests_ = 0;
};

}  // namespace rpic
