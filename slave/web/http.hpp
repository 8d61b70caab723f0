#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

/// HTTP/1.1 (RFC 9112) as values: bytes become a Request, an Answer becomes bytes. No socket is
/// known here, so all of it can be tested byte by byte.
namespace rpic {

/// The header of one request, as far as this server looks at it.
struct Request {
    std::string method;
    std::string target;              // path and query as sent
    std::string path;                // the target without its query
    std::string query;               // what stands behind the first '?'
    std::vector<std::string> hosts;  // every Host field; the target's own authority replaces them
    std::optional<std::string> authorization;  // one that is there may be empty
    std::string accept_encoding;
    std::string if_none_match;
    std::string cookie;
    std::string origin;
    std::string fetch_site;  // Sec-Fetch-Site
    std::string content_type;
    std::string csrf;  // X-CSRF-Token
    std::string idempotency_key;
    std::string last_event_id;
    std::optional<std::uint64_t> content_length;
    bool chunked = false;
    bool expects_continue = false;  // waits for "100 Continue" before it sends its body
    bool old_http = false;          // HTTP/1.0
    bool keep_alive = false;
    bool forwarded = false;  // a proxy says that somebody else sent it

    bool has_body() const { return chunked || content_length.value_or(0) > 0; }
    bool is_read() const { return method == "GET" || method == "HEAD"; }
};

/// Bytes that are no request. The connection cannot go on after the answer, because nobody knows
/// where the next request would begin.
class BadRequestError : public std::runtime_error {
  public:
    BadRequestError(unsigned http_status, const std::string& reason)
        : std::runtime_error(reason), status(http_status) {}
    unsigned status;
};

/// Cuts a stream of bytes into requests.
class RequestReader {
  public:
    RequestReader();
    ~RequestReader();

    /// Takes the next request's header from the front of `bytes`; nothing if it is not complete
    /// yet. Call it again with the same bytes and more behind them. Throws BadRequestError with
    /// 431 above limits::web_header_bytes, with 400 for anything that breaks the grammar.
    std::optional<Request> next(std::string& bytes);

  private:
    struct Parser;
    std::unique_ptr<Parser> parser_;
};

struct Answer {
    unsigned status = 200;
    std::vector<std::pair<std::string, std::string>> fields;
    std::string text;                           // the body, or ...
    std::shared_ptr<const std::string> shared;  // ... the body that others get as well, or ...
    std::string_view embedded;                  // ... the body inside the program
    bool events = false;   // the body is the event stream, which ends with the connection
    bool chunked = false;  // the body has no length that is known before
    bool close = false;    // the connection ends after this answer
    bool sent = false;     // the handler has sent all of it already

    std::string_view body() const {
        if (shared) return *shared;
        return embedded.empty() ? std::string_view(text) : embedded;
    }
    const std::string* field(std::string_view name) const;
};

/// The header as it is sent, with the fields that belong on every answer.
std::string answer_header(const Answer& answer, bool keep_alive);

/// An answer that says what went wrong: RFC 9457's application/problem+json below /api/ and for
/// /metrics, plain text elsewhere. `code` is for programs; empty: the one that goes with the
/// status.
Answer error_answer(unsigned status, std::string_view path, std::string_view detail,
                    std::string_view code = {});

/// An answer in JSON that nobody keeps.
Answer json_answer(std::string text, unsigned status = 200);
Answer json_answer(std::shared_ptr<const std::string> text);

}  // namespace rpic
