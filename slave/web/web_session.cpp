#include "slave/web/web_session.hpp"

#include <array>
#include <boost/asio/socket_base.hpp>
#include <exception>
#include <utility>

#include "common/errors.hpp"
#include "common/limits.hpp"
#include "common/log.hpp"
#include "common/text.hpp"
#include "slave/web/routes.hpp"

namespace rpic {

namespace asio = boost::asio;
using asio::awaitable;

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
        std::optional<Request> request;
        Answer reply;
        bool head = false;
        bool keep_alive = false;
        try {
            request = co_await read_request();
        } catch (const BadRequestError& error) {
            ++shared_.counters.bad_requests;
            reply = error_answer(error.status, "", error.what());
        }
        if (request) {
            head = request->method == "HEAD";
            keep_alive = request->keep_alive && !request->has_body;
            reply = co_await answer(*request);
        }
        keep_alive = keep_alive && !reply.close && !reply.events;
        std::string bytes = answer_header(reply, keep_alive);
        if (!head) bytes += reply.body();
        co_await write(bytes);
        if (viewer_) co_await send_events(request->authorization);
        if (!keep_alive) break;
    }
    co_await linger();
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

awaitable<std::optional<Request>> WebSession::read_request() {
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
        if (request) co_return request;
        std::array<char, 4096> chunk;
        const std::size_t bytes = co_await stream_.read_some(asio::buffer(chunk));
        input_.append(chunk.data(), bytes);
        if (!begun) expect_within(shared_.times.request, "its request was too slow");
        begun = true;
    }
}

std::optional<Answer> WebSession::judge_hosts(const Request& request) {
    HostVerdict verdict = HostVerdict::malformed;
    if (request.hosts.size() == 1)
        verdict = judge_host(shared_.host_rule, request.hosts.front(), local_);
    if (verdict == HostVerdict::ours) return std::nullopt;
    if (verdict == HostVerdict::malformed) {
        ++shared_.counters.bad_requests;
        return error_answer(400, request.path, "a request names exactly one valid Host");
    }
    ++shared_.counters.foreign_hosts;
    log_peer(Severity::warning, "web-host", peer_text(),
             "asked for the host \"" + printable(request.hosts.front(), limits::log_text_chars) +
                 "\", which is not this one; [webserver] allowed_hosts would let it in");
    return error_answer(421, request.path, "this server does not answer to that host name");
}

Answer WebSession::redirect_to_https(const Request& request) const {
    Answer answer = error_answer(308, request.path, "use https");
    answer.fields.emplace_back("Location", "https://" + request.hosts.front() + request.target);
    answer.close = true;
    return answer;
}

awaitable<Answer> WebSession::answer(Request request) {
    std::optional<Answer> refused = judge_hosts(request);
    if (refused) co_return std::move(*refused);
    if (!trusted_ && !stream_.encrypted()) co_return redirect_to_https(request);
    Answer reply = co_await admit_and_route(std::move(request));
    co_return reply;
}

awaitable<Answer> WebSession::admit_and_route(Request request) {
    if (!trusted_) {
        expect_within(shared_.times.request, "the master did not say whether its token is good");
        const auto address = plain_address(peer_.address());
        const Admission admission = co_await shared_.gate.admit(request.authorization, address);
        if (admission != Admission::granted) co_return refusal(admission, request);
        admitted_ = true;
    }
    Answer reply = route(request, shared_.view, Clock::now());
    if (reply.events && shared_.feed.viewers() >= limits::web_viewers) {
        ++shared_.counters.too_many_viewers;
        reply = error_answer(503, request.path, "too many are watching already");
        reply.fields.emplace_back("Retry-After", "10");
    } else if (reply.events && request.method == "GET") {
        // From here on its place is taken, so that many at once cannot get in together.
        std::function<void()> drop = [this] { close("it did not read its events"); };
        viewer_.emplace(shared_.feed, stream_.socket().get_executor(), std::move(drop));
    }
    co_return reply;
}

Answer WebSession::refusal(Admission admission, const Request& request) {
    if (admission == Admission::unknown) {
        Answer answer =
            error_answer(503, request.path, "the master cannot be asked about the token now");
        answer.fields.emplace_back("Retry-After", "5");
        return answer;
    }
    ++shared_.counters.refused_tokens;
    if (admission == Admission::too_many) {
        const auto wait = shared_.gate.retry_seconds(plain_address(peer_.address()));
        Answer answer = error_answer(429, request.path, "too many wrong tokens; wait");
        answer.fields.emplace_back("Retry-After", std::to_string(wait));
        answer.close = true;
        return answer;
    }
    if (admission == Admission::refused)
        log_peer(Severity::warning, "web-token", peer_text(), "came with a wrong token");
    Answer answer =
        error_answer(401, request.path,
                     "a token is needed: make one with `rpicluster token create --role viewer`, "
                     "and give it as the password");
    // Two challenges: a browser asks its user by the first, programs use the second.
    answer.fields.emplace_back("WWW-Authenticate", "Basic realm=\"rpicluster\", charset=\"UTF-8\"");
    answer.fields.emplace_back("WWW-Authenticate", "Bearer realm=\"rpicluster\"");
    return answer;
}

awaitable<void> WebSession::send_events(std::string authorization) {
    // What the kernel holds for a viewer that does not read counts as little as it can.
    boost::system::error_code error;
    const int send_bytes = limits::web_send_buffer_bytes;
    stream_.socket().set_option(asio::socket_base::send_buffer_size(send_bytes), error);
    Instant checked = Clock::now();
    for (;;) {
        deadline_ = Instant::max();
        const EventFeed::Piece piece = co_await viewer_->next();
        if (stream_.peer_has_ended()) throw DisconnectionError("the viewer went away");
        co_await write(*piece);
        viewer_->sent();
        if (trusted_ || Clock::now() - checked < shared_.times.check_again) continue;
        checked = Clock::now();
        expect_within(shared_.times.request, "the master did not say whether its token is good");
        const Admission admission = co_await shared_.gate.check_again(authorization);
        // A revoked token ends the stream; a master that cannot be asked does not.
        if (admission == Admission::refused)
            throw DisconnectionError("its token is no longer good");
    }
}

awaitable<void> WebSession::write(std::string_view bytes) {
    while (!bytes.empty()) {
        expect_within(limits::write_stall, "it read nothing for too long");
        const std::size_t written = co_await stream_.write_some(asio::buffer(bytes));
        bytes.remove_prefix(written);
    }
}

/// Closing with unread bytes makes the kernel send a reset, which can destroy the answer before the
/// peer has read it: so the rest is read and forgotten first, for a short while.
awaitable<void> WebSession::linger() {
    expect_within(limits::web_linger_time, "it did not close");
    co_await stream_.finish();
    co_await stream_.drain();
}

}  // namespace rpic
