#include "slave/web/web_session.hpp"

#include <algorithm>
#include <array>
#include <boost/asio/socket_base.hpp>
#include <exception>
#include <utility>

#include "common/errors.hpp"
#include "common/limits.hpp"
#include "common/log.hpp"
#include "common/text.hpp"
#include "slave/web/asset_answer.hpp"
#include "slave/web/caller.hpp"

namespace rpic {

namespace asio = boost::asio;
using asio::awaitable;

namespace {

constexpr int ask_again_seconds = 5;
constexpr const char* token_needed =
    "a token is needed: `rpicluster token create --role viewer` makes one; send it as "
    "`Authorization: Bearer TOKEN`, or log in";

/// Whether a Content-Type is that of JSON, whatever parameters it has.
bool is_json(std::string_view content_type) {
    return trim(content_type.substr(0, content_type.find(';'))) == "application/json";
}

/// The master's words, with the status that goes with its code.
ProblemError problem_of(const RequestFailedError& error) {
    const std::string& code = error.code;
    const unsigned status = code == "not_found"     ? 404
                            : code == "forbidden"   ? 403
                            : code == "bad_request" ? 400
                            : code == "conflict"    ? 409
                            : code == "full"        ? 507
                                                    : 503;
    return ProblemError(status, error.what(), status == 503 ? ask_again_seconds : 0);
}

}  // namespace

WebSession::WebSession(WebShared& shared, asio::ip::tcp::socket socket,
                       asio::ip::tcp::endpoint peer, bool trusted)
    : shared_(shared), stream_(std::move(socket)), peer_(std::move(peer)), trusted_(trusted) {
    boost::system::error_code error;
    stream_.socket().set_option(asio::ip::tcp::no_delay(true), error);
    local_ = stream_.socket().local_endpoint(error).address();
}

std::string WebSession::peer_text() const {
    return format_host_port(plain_address(peer_.address()).to_string(), peer_.port());
}

void WebSession::close(std::string_view reason) {
    if (!closed_because_.empty()) return;
    closed_because_ = reason;
    deadline_ = Instant::max();
    stream_.close();
    cancel_.emit(asio::cancellation_type::terminal);
}

void WebSession::expect_within(Duration time, const char* what) {
    deadline_ = Clock::now() + time;
    waits_for_ = what;
}

void WebSession::check_deadline(Instant now) {
    if (now < deadline_) return;
    ++shared_.counters.timed_out;
    close(waits_for_);
}

awaitable<void> WebSession::run() {
    std::exception_ptr failure;
    try {
        co_await serve();
    } catch (...) {
        failure = std::current_exception();
    }
    viewer_.reset();
    stream_.close();
    // Once this side has closed the connection, the error of whatever ran is not the reason. From
    // here on close() has nothing left to end.
    const std::string reason = std::exchange(closed_because_, "it has ended");
    if (!reason.empty()) throw DisconnectionError(reason);
    if (failure) std::rethrow_exception(failure);
}

awaitable<void> WebSession::serve() {
    co_await choose_encryption();
    for (;;) {
        Answer reply;
        bool whole = false;
        try {
            co_await read_request();
            whole = true;
        } catch (const BadRequestError& error) {
            ++shared_.counters.bad_requests;
            // Nobody knows what it was about: programs understand this form.
            reply = error_answer(error.status, "/api/", error.what());
            request_ = {};
        }
        if (whole) reply = co_await answer();
        const bool keep_alive = whole && keeps_alive(reply);
        if (!reply.sent) co_await send_answer(reply);
        if (viewer_) co_await send_events();
        if (!keep_alive) break;
    }
    co_await linger();
}

bool WebSession::keeps_alive(const Answer& reply) const {
    return request_.keep_alive && may_reuse() && !reply.close && !reply.events;
}

awaitable<void> WebSession::choose_encryption() {
    expect_within(shared_.times.request, "it sent nothing");
    const unsigned char first = co_await stream_.first_byte();
    constexpr unsigned char tls_handshake = 0x16;  // RFC 8446 section 5.1
    if (first != tls_handshake) co_return;
    if (!shared_.tls) throw DisconnectionError("it speaks TLS, which is off on loopback");
    expect_within(shared_.times.request, "its TLS handshake was too slow");
    co_await stream_.start_tls(*shared_.tls);
}

/// Ends by throwing when there is no further request.
awaitable<void> WebSession::read_request() {
    bool begun = !input_.empty();
    // A stranger may not keep a connection for long without having shown a token.
    const Duration idle = trusted_ || admitted_ ? shared_.times.idle : shared_.times.request;
    if (begun) {
        expect_within(shared_.times.request, "its request was too slow");
    } else {
        expect_within(idle, "it was idle");
    }
    for (;;) {
        std::optional<Request> request = reader_.next(input_);
        if (request) {
            request_ = std::move(*request);
            break;
        }
        std::array<char, 4096> chunk;
        const std::size_t bytes = co_await stream_.read_some(asio::buffer(chunk));
        input_.append(chunk.data(), bytes);
        if (!begun) expect_within(shared_.times.request, "its request was too slow");
        begun = true;
    }
    caller_ = {};
    body_left_ = request_.content_length.value_or(0);
    begun_ = false;
}

std::optional<Answer> WebSession::judge_hosts() {
    HostVerdict verdict = HostVerdict::malformed;
    if (request_.hosts.size() == 1)
        verdict = judge_host(shared_.host_rule, request_.hosts.front(), local_);
    if (verdict == HostVerdict::ours) return std::nullopt;
    if (verdict == HostVerdict::malformed) {
        ++shared_.counters.bad_requests;
        return error_answer(400, request_.path, "a request names exactly one valid Host");
    }
    ++shared_.counters.foreign_hosts;
    const auto port = std::to_string(shared_.host_rule.port);
    log_peer(Severity::warning, "web-host", peer_text(),
             "asked for the host \"" + printable(request_.hosts.front(), limits::log_text_chars) +
                 "\", which is not this one; those of [webserver] allowed_hosts are let in, with "
                 "the port " +
                 port + " or none");
    return error_answer(421, request_.path,
                        "this server does not answer to that host: ask for its own address, or "
                        "for a name or address in allowed_hosts of [webserver] in its "
                        "configuration, with the port " +
                            port + " or none");
}

Answer WebSession::redirect_to_https() const {
    Answer answer = error_answer(308, request_.path, "use https");
    answer.fields.emplace_back("Location", "https://" + request_.hosts.front() + request_.target);
    answer.close = true;
    return answer;
}

/// Whatever the request is, it gets an answer; what went wrong with it becomes one here.
awaitable<Answer> WebSession::answer() {
    std::optional<Answer> refused = judge_hosts();
    if (refused) co_return std::move(*refused);
    if (!trusted_ && !stream_.encrypted()) co_return redirect_to_https();
    Answer reply;
    try {
        reply = co_await route();
    } catch (const ProblemError& error) {
        reply = problem_answer(error);
    } catch (const RequestFailedError& error) {
        reply = problem_answer(problem_of(error));
    } catch (const BadMessageError& error) {
        const ProblemError problem(503, std::string("the master sent ") + error.what(),
                                   ask_again_seconds);
        reply = problem_answer(problem);
    }
    // Too late to say what went wrong: the browser sees that something is missing.
    if (begun_ && !reply.sent) throw DisconnectionError("its answer broke off: " + reply.text);
    co_return reply;
}

awaitable<Answer> WebSession::route() {
    const Routed routed = find_route(request_.method, request_.path);
    const Asset* file = routed.allow.empty() ? find_asset(request_.path) : nullptr;
    const bool open = file != nullptr && request_.path != "/";
    const bool asks_nobody = routed.route != nullptr && routed.route->role == std::string("none");
    if (!open && !asks_nobody) co_await identify_caller();
    if (file != nullptr) co_return asset(*file);
    if (routed.route == nullptr) {
        if (caller_.role.empty()) throw ProblemError(401, token_needed);
        if (routed.allow.empty())
            throw ProblemError(404, "there is nothing here: /api/openapi.json lists what there is");
        Answer reply = error_answer(405, request_.path, "this is asked for by " + routed.allow);
        reply.fields.emplace_back("Allow", routed.allow);
        co_return reply;
    }
    Answer reply = co_await call(routed);
    co_return reply;
}

awaitable<void> WebSession::identify_caller() {
    expect_within(shared_.times.request, "the master did not say whether its token is good");
    const WebServices services = shared_.services();
    caller_ = co_await identify(services, request_, address(), trusts_sender());
    admitted_ = admitted_ || !caller_.token.empty();
}

/// The files of the page hold nothing of this cluster, and among them is the form to log in: they
/// are for everybody. The page itself says by its status whether that is needed.
Answer WebSession::asset(const Asset& file) {
    if (!request_.is_read()) {
        Answer answer = error_answer(405, request_.path, "only GET and HEAD are understood");
        answer.fields.emplace_back("Allow", "GET, HEAD");
        return answer;
    }
    if (request_.has_body())
        return error_answer(413, request_.path, "a file is asked for without a body");
    Answer answer = asset_answer(request_, file);
    if (request_.path != "/" || !caller_.role.empty()) return answer;
    request_.if_none_match.clear();
    answer = asset_answer(request_, file);
    answer.status = 401;
    std::erase_if(answer.fields, [](const auto& field) {
        return field.first == "ETag" || field.first == "Cache-Control";
    });
    answer.fields.emplace_back("Cache-Control", "no-store");
    answer.fields.emplace_back("WWW-Authenticate", "Bearer realm=\"rpicluster\"");
    return answer;
}

void WebSession::check_body(Route::Body kind) const {
    const bool json = kind == Route::Body::json || kind == Route::Body::optional_json;
    if (kind == Route::Body::none && request_.has_body())
        throw ProblemError(413, "this request has no body: send it without one");
    if (request_.chunked)
        throw ProblemError(411, "a body needs a Content-Length; it cannot come in chunks");
    if (kind == Route::Body::none) return;
    if (kind != Route::Body::optional_json && !request_.content_length)
        throw ProblemError(411, "a body is needed, with its Content-Length");
    if (json && request_.content_length.value_or(0) > limits::web_body_bytes)
        throw ProblemError(413, "the body is larger than " + format_size(limits::web_body_bytes));
    if (request_.content_length.value_or(0) > static_cast<std::uint64_t>(limits::blob_bytes))
        throw ProblemError(413, "the file is larger than " + format_size(limits::blob_bytes));
    if (json && request_.has_body() && !is_json(request_.content_type))
        throw ProblemError(415, "the body is JSON: say so with Content-Type: application/json");
    if (kind == Route::Body::json && !request_.has_body())
        throw ProblemError(400, "a JSON object is needed as the body");
}

awaitable<Answer> WebSession::call(const Routed& routed) {
    const Route& way = *routed.route;
    if (!web_role_allows(caller_.role, way.role)) {
        if (caller_.token.empty()) throw ProblemError(401, token_needed);
        throw ProblemError(403, std::string("this needs the role ") + way.role +
                                    "; the token in use has the role " + caller_.role +
                                    ": `rpicluster token create --role " + way.role +
                                    "` makes another");
    }
    if (!request_.is_read()) {
        check_same_site(request_);
        check_intent(request_, caller_);
    }
    check_body(way.body);
    const auto query = parse_query(request_.query);
    if (!query) throw ProblemError(400, "the query of the request is not percent-encoded UTF-8");
    const auto services = shared_.services();
    Exchange exchange(request_, caller_, trusts_sender(), services, *this);
    exchange.path = routed.parameters;
    exchange.query = *query;
    expect_within(shared_.times.request + limits::request_time, "its answer took too long");
    Answer reply = co_await way.handler(exchange);
    if (!reply.events || request_.method != "GET" || reply.sent) co_return reply;
    if (shared_.feed.viewers() >= limits::web_viewers) {
        ++shared_.counters.too_many_viewers;
        throw ProblemError(503, "too many are watching already", 10);
    }
    // From here on its place is taken, so that many at once cannot get in together.
    std::function<void()> drop = [this] { close("it did not read its events"); };
    viewer_.emplace(shared_.feed, stream_.socket().get_executor(), request_.last_event_id,
                    std::move(drop));
    co_return reply;
}

Answer WebSession::problem_answer(const ProblemError& error) {
    Answer answer = error_answer(error.status, request_.path, error.what());
    if (error.retry_seconds > 0)
        answer.fields.emplace_back("Retry-After", std::to_string(error.retry_seconds));
    if (error.status == 401) {
        ++shared_.counters.refused_tokens;
        // No challenge for "Basic": the page has a form of its own.
        answer.fields.emplace_back("WWW-Authenticate", "Bearer realm=\"rpicluster\"");
        const bool wrong = request_.authorization.has_value() || request_.path == "/api/v1/login";
        if (wrong) log_peer(Severity::warning, "web-token", peer_text(), "came with a wrong token");
    }
    if (error.status == 429) {
        ++shared_.counters.refused_tokens;
        answer.close = true;
    }
    return answer;
}

asio::ip::address WebSession::address() const {
    return plain_address(peer_.address());
}

awaitable<void> WebSession::send_events() {
    // What the kernel holds for a viewer that does not read counts as little as it can.
    boost::system::error_code error;
    const int room = limits::web_send_buffer_bytes;
    stream_.socket().set_option(asio::socket_base::send_buffer_size(room), error);
    Instant checked = Clock::now();
    for (;;) {
        deadline_ = Instant::max();
        const EventFeed::Piece piece = co_await viewer_->next();
        if (stream_.peer_has_ended()) throw DisconnectionError("the viewer went away");
        co_await send_bytes(*piece);
        viewer_->sent();
        if (caller_.token.empty() || Clock::now() - checked < shared_.times.check_again) continue;
        checked = Clock::now();
        expect_within(shared_.times.request, "the master did not say whether its token is good");
        const auto number = cookie_in(request_.cookie, login_cookie);
        if (!caller_.csrf.empty() && shared_.logins.find(number, checked) == nullptr)
            throw DisconnectionError("it has logged out");
        const Admitted admitted = co_await shared_.gate.check_again(caller_.token);
        // A revoked token ends the stream; a master that cannot be asked does not.
        if (admitted.admission == Admission::refused)
            throw DisconnectionError("its token is no longer good");
    }
}

}  // namespace rpic
