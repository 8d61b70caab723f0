#pragma once

#include <boost/asio/awaitable.hpp>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include "common/connection.hpp"
#include "common/messages.hpp"
#include "common/text.hpp"

namespace rpic {

/// The master answered that it cannot do what was asked.
class RequestFailedError : public std::runtime_error {
  public:
    RequestFailedError(std::string failure_code, const std::string& reason)
        : std::runtime_error(reason), code(std::move(failure_code)) {}
    std::string code;  // as in Failed
};

/// What the master sent: an answer, with the raw bytes behind it.
struct Reply {
    std::int64_t id = 0;  // of the request
    ToClient message;
    std::string raw;
};

/// What a reply holds, which must be of that type. Throws RequestFailedError.
[[noreturn]] void throw_failure(const Reply& reply);
template <class Answer>
Answer take_answer(Reply reply) {
    if (auto* answer = std::get_if<Answer>(&reply.message)) return std::move(*answer);
    throw_failure(reply);
}

/// The connection of a client to the master: of the command, and of the webserver for a request
/// that came with a token. It may do what its key may. Nothing here has a time limit.
class MasterClient {
  public:
    explicit MasterClient(std::string_view key) : tls_(key) {}

    /// Connects, and waits for the master's welcome. Throws DisconnectionError, KeyRefusedError, or
    /// BadMessageError if what answers is no master.
    asio::awaitable<void> connect(HostPort target);

    /// Sends a request without waiting; the result is its id, which its replies carry. `raw` goes
    /// behind the frame. Without a connection it is lost.
    template <class Request>
    std::int64_t send(Request request, std::string_view raw = {}) {
        request.id = ++requests_;
        if (connection_) connection_->send(request, raw);
        return request.id;
    }

    /// The next message of the master, whatever it answers. Throws what connect() throws, and
    /// RequestFailedError if the master does not know the request.
    asio::awaitable<Reply> receive();

    void disconnect() { connection_.reset(); }
    bool connected() const { return connection_.has_value(); }
    const Welcome& welcome() const { return welcome_; }

  private:
    TlsClient tls_;
    std::optional<Connection> connection_;
    Welcome welcome_;
    std::int64_t requests_ = 0;
};

}  // namespace rpic
