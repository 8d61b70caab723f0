#pragma once

#include <boost/asio/awaitable.hpp>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "common/clock.hpp"
#include "slave/web/cluster_view.hpp"
#include "slave/web/event_feed.hpp"
#include "slave/web/http.hpp"
#include "slave/web/logins.hpp"
#include "slave/web/master_desk.hpp"
#include "slave/web/problem.hpp"
#include "slave/web/token_gate.hpp"
#include "slave/web/uri.hpp"
#include "slave/web/view_texts.hpp"

namespace rpic {

/// Who sent a request, and what the sender may do.
struct Caller {
    std::string role;    // viewer | submit | admin; empty: nobody who is known
    std::string name;    // of the token
    std::string token;   // empty: a viewer on this machine, or nobody
    std::string csrf;    // of the session that the cookie names; empty without one
    bool basic = false;  // the token came as the password of "Basic", which browsers send unasked
};

/// What handlers use besides the request itself.
struct WebServices {
    ClusterView& view;
    EventFeed& feed;
    ViewTexts& texts;
    TokenGate& gate;
    Logins& logins;
    MasterDesk& desk;
};

/// The bytes of one request and its answer, as a handler needs them. All functions throw
/// DisconnectionError when the browser is gone or too slow.
class Wire {
  public:
    /// All of the body. Throws ProblemError 413 above that size.
    virtual boost::asio::awaitable<std::string> body(std::size_t most) = 0;
    /// The next part of a body of known length; empty at its end.
    virtual boost::asio::awaitable<std::string> body_part(std::size_t most) = 0;
    /// Sends the header of an answer whose body follows by write(); false if no body is wanted.
    virtual boost::asio::awaitable<bool> begin(Answer head) = 0;
    virtual boost::asio::awaitable<void> write(std::string bytes) = 0;
    /// After the last of it; without it the browser sees that something is missing.
    virtual boost::asio::awaitable<void> end() = 0;
    /// What the handler does now may take so long.
    virtual void allow(Duration time, const char* what) = 0;
    virtual bool browser_has_gone() = 0;
    virtual bool encrypted() const = 0;
    virtual boost::asio::ip::address address() const = 0;

  protected:
    ~Wire() = default;
};

/// One request that was let in, on its way through its handler.
struct Exchange {
    Exchange(const Request& of, const Caller& from, bool from_here, const WebServices& uses,
             Wire& over)
        : request(of), caller(from), trusted(from_here), services(uses), wire(over) {}

    const Request& request;
    const Caller& caller;
    const bool trusted;  // the browser is on this machine: see identify()
    const WebServices& services;
    Wire& wire;
    std::map<std::string, std::string, std::less<>> path;  // the parameters of the route
    Query query;

    const std::string& parameter(std::string_view name) const { return path.find(name)->second; }
    /// The value of a parameter of the query; empty if there is none.
    std::string option(std::string_view name) const;
    /// The same as a whole number. Throws ProblemError 400.
    std::int64_t number(std::string_view name, std::int64_t least, std::int64_t most,
                        std::int64_t otherwise) const;
    /// One of these words, separated by '|', or empty. Throws ProblemError 400.
    std::string choice(std::string_view name, const std::string& words) const;
    /// ?wait=; nothing without it.
    std::optional<Duration> wait() const;
    /// A connection to the master, in the caller's name.
    boost::asio::awaitable<std::unique_ptr<MasterDesk::Visit>> visit(bool lasting = false);
};

/// Whether an If-None-Match field names this ETag.
bool etag_matches(std::string_view if_none_match, std::string_view etag);

/// The ETag of a text.
std::string etag_of(std::string_view text);

/// The answer with its ETag, or 304.
Answer tagged(const Request& request, Answer answer, const std::string& etag);

}  // namespace rpic
