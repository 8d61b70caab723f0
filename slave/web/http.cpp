#include "slave/web/http.hpp"

#include <algorithm>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/status.hpp>
#include <boost/json.hpp>

#include "common/limits.hpp"
#include "common/text.hpp"

namespace rpic {

namespace http = boost::beast::http;

struct RequestReader::Parser : http::request_parser<http::empty_body> {
    Parser() {
        header_limit(static_cast<std::uint32_t>(limits::web_header_bytes));
        // How long a body may be depends on what the request is about.
        body_limit(boost::none);
    }
};

RequestReader::RequestReader() = default;
RequestReader::~RequestReader() = default;

namespace {

/// Leaves the path and query of "http://host/path?query" and tells the host; RFC 9112 section
/// 3.2.2 wants this form to be understood. Browsers never send it here.
void split_absolute_form(Request& request) {
    const std::string lowered = lower(std::string_view(request.target).substr(0, 8));
    std::size_t start = 0;
    if (lowered.starts_with("http://")) start = 7;
    if (lowered.starts_with("https://")) start = 8;
    if (start == 0) return;
    const std::size_t slash = request.target.find_first_of("/?", start);
    const std::string authority = request.target.substr(start, slash - start);
    if (!request.hosts.empty()) request.hosts.front() = authority;
    request.target = slash == std::string::npos ? "/" : request.target.substr(slash);
    if (request.target.front() == '?') request.target.insert(0, "/");
}

/// Proxies name in one of these fields for whom they ask. Not all do: docs/security.md says so.
bool is_forwarded(const http::request_header<>& header) {
    return header.count(http::field::via) > 0 || header.count("Forwarded") > 0 ||
           header.count("X-Forwarded-For") > 0 || header.count("X-Real-IP") > 0;
}

Request read_request(const http::request_header<>& header) {
    Request request;
    const auto text = [&](http::field name) { return std::string(header[name]); };
    request.method = std::string(header.method_string());
    request.target = std::string(header.target());
    if (header.count(http::field::authorization) > 0)
        request.authorization = text(http::field::authorization);
    request.accept_encoding = text(http::field::accept_encoding);
    request.if_none_match = text(http::field::if_none_match);
    request.cookie = text(http::field::cookie);
    request.origin = text(http::field::origin);
    request.fetch_site = std::string(header["Sec-Fetch-Site"]);
    request.content_type = lower(text(http::field::content_type));
    request.csrf = std::string(header["X-CSRF-Token"]);
    request.idempotency_key = std::string(header["Idempotency-Key"]);
    request.last_event_id = std::string(header["Last-Event-ID"]);
    request.expects_continue = lower(text(http::field::expect)) == "100-continue";
    request.old_http = header.version() < 11;
    request.forwarded = is_forwarded(header);
    const auto hosts = header.equal_range(http::field::host);
    for (auto host = hosts.first; host != hosts.second; ++host)
        request.hosts.emplace_back(host->value());
    split_absolute_form(request);
    if (request.target.empty() || request.target.front() != '/')
        throw BadRequestError(400,
                              "the target of a request starts with a slash, as in /api/v1/nodes");
    const std::size_t mark = request.target.find('?');
    request.path = request.target.substr(0, mark);
    if (mark != std::string::npos) request.query = request.target.substr(mark + 1);
    return request;
}

/// What programs tell errors apart by.
std::string_view code_of(unsigned status) {
    switch (status) {
        case 400:
            return "bad_request";
        case 401:
            return "unauthorized";
        case 403:
            return "forbidden";
        case 404:
            return "not_found";
        case 405:
            return "method_not_allowed";
        case 409:
            return "conflict";
        case 411:
            return "length_required";
        case 413:
            return "too_large";
        case 415:
            return "unsupported_media_type";
        case 421:
            return "misdirected";
        case 429:
            return "too_many_requests";
        case 431:
            return "header_too_large";
        case 503:
            return "unavailable";
        case 507:
            return "full";
        default:
            return "internal";
    }
}

/// Empty lines before a request are forgiven (RFC 9112 section 2.2), however many come at once:
/// what the network cuts differently must mean the same.
void skip_empty_lines(std::string& bytes) {
    std::size_t start = 0;
    while (bytes.compare(start, 2, "\r\n") == 0) start += 2;
    bytes.erase(0, start);
}

}  // namespace

std::optional<Request> RequestReader::next(std::string& bytes) {
    if (!parser_) {
        skip_empty_lines(bytes);
        if (bytes.empty() || bytes == "\r") return std::nullopt;
        parser_ = std::make_unique<Parser>();
    }
    boost::system::error_code error;
    const std::size_t used = parser_->put(boost::asio::buffer(bytes), error);
    bytes.erase(0, used);
    if (error == http::error::need_more) return std::nullopt;
    if (error == http::error::header_limit)
        throw BadRequestError(431, "the header of the request is longer than " +
                                       format_size(limits::web_header_bytes) +
                                       ": shorten its URL or its fields");
    if (error) throw BadRequestError(400, "this is not a request: " + error.message());
    if (!parser_->is_header_done()) return std::nullopt;

    Request request = read_request(parser_->get());
    const auto length = parser_->content_length();
    if (length) request.content_length = *length;
    request.chunked = parser_->chunked();
    request.keep_alive = parser_->keep_alive();
    parser_.reset();
    return request;
}

std::string answer_header(const Answer& answer, bool keep_alive) {
    const auto status = static_cast<http::status>(answer.status);
    std::string text = "HTTP/1.1 " + std::to_string(answer.status) + ' ';
    text += std::string_view(http::obsolete_reason(status));
    text += "\r\n";
    for (const auto& [name, value] : answer.fields) text += name + ": " + value + "\r\n";
    // Nothing but our own files may run or be shown, and nobody may frame the page: a hostile
    // name of a node has no way to become code.
    text +=
        "Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; "
        "connect-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'\r\n"
        "X-Content-Type-Options: nosniff\r\n"
        "Referrer-Policy: no-referrer\r\n"
        "X-Frame-Options: DENY\r\n"
        "Cross-Origin-Resource-Policy: same-origin\r\n"
        "Cross-Origin-Opener-Policy: same-origin\r\n";
    const bool no_body = answer.status == 304 || answer.status == 204;
    if (answer.chunked) {
        text += "Transfer-Encoding: chunked\r\n";
    } else if (!answer.events && !no_body && answer.field("Content-Length") == nullptr)
        text += "Content-Length: " + std::to_string(answer.body().size()) + "\r\n";
    text += keep_alive ? "Connection: keep-alive\r\n\r\n" : "Connection: close\r\n\r\n";
    return text;
}

const std::string* Answer::field(std::string_view name) const {
    for (const auto& [known, value] : fields)
        if (known == name) return &value;
    return nullptr;
}

Answer error_answer(unsigned status, std::string_view path, std::string_view detail,
                    std::string_view code) {
    Answer answer;
    answer.status = status;
    answer.fields.emplace_back("Cache-Control", "no-store");
    const std::string title(http::obsolete_reason(static_cast<http::status>(status)));
    if (path == "/api" || path.starts_with("/api/") || path == "/metrics") {
        answer.fields.emplace_back("Content-Type", "application/problem+json");
        if (code.empty()) code = code_of(status);
        boost::json::object problem;
        problem["type"] = "about:blank";
        problem["title"] = title;
        problem["status"] = status;
        problem["detail"] = boost::json::string_view(detail.data(), detail.size());
        problem["code"] = boost::json::string_view(code.data(), code.size());
        answer.text = boost::json::serialize(problem);
    } else {
        answer.fields.emplace_back("Content-Type", "text/plain; charset=utf-8");
        answer.text = std::to_string(status) + ' ' + title + ": " + std::string(detail) + '\n';
    }
    return answer;
}

Answer json_answer(std::string text, unsigned status) {
    Answer answer;
    answer.status = status;
    answer.fields.emplace_back("Content-Type", "application/json");
    answer.fields.emplace_back("Cache-Control", "no-store");
    answer.text = std::move(text);
    return answer;
}

Answer json_answer(std::shared_ptr<const std::string> text) {
    Answer answer = json_answer(std::string());
    answer.shared = std::move(text);
    return answer;
}

}  // namespace rpic
