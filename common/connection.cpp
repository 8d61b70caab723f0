#include "common/connection.hpp"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <array>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cerrno>
#include <cstring>
#include <optional>

#include "common/limits.hpp"
#include "common/sleep.hpp"
#include "common/text.hpp"

namespace rpic {

namespace {

enum class Progress { done, want_read, want_write };

/// One buffer for all reads of a loop: an idle connection holds none.
std::array<char, limits::read_bytes>& read_buffer() {
    static thread_local std::array<char, limits::read_bytes> buffer;
    return buffer;
}

std::string endpoint_text(const tcp::endpoint& endpoint) {
    auto address = endpoint.address();
    if (address.is_v6() && address.to_v6().is_v4_mapped())
        address = asio::ip::make_address_v4(asio::ip::v4_mapped, address.to_v6());
    return format_host_port(address.to_string(), endpoint.port());
}

std::string system_text(int error) {
    return error == 0 ? "closed by the peer" : std::strerror(error);
}

}  // namespace

/// What the pending handlers of a connection need. They may outlive it by one turn of the loop,
/// which is why they share it; nobody else does.
struct Connection::State {
    explicit State(tcp::socket s) : socket(std::move(s)), splitter(0, 0) {
        boost::system::error_code ignored;
        const auto endpoint = socket.remote_endpoint(ignored);
        if (!ignored) peer = endpoint_text(endpoint);
        socket.non_blocking(true, ignored);
        socket.set_option(tcp::no_delay(true), ignored);
        last_heard = last_taken = Clock::now();
    }

    tcp::socket socket;
    SslHandle ssl;
    std::string peer;
    FrameSplitter splitter;
    std::string inbox;
    std::size_t inbox_taken = 0;
    std::string outbox;
    std::size_t outbox_sent = 0;
    std::string reason;  // why it ended
    Instant last_heard;
    Instant last_taken;  // when the peer last accepted bytes, or when the outbox became non-empty
    bool heard = false;
    std::optional<Instant> ending_since;
    bool closed = false;
    bool key_refused = false;
    bool not_reading = false;
    bool flush_pending = false;
    bool more_to_read = false;  // the last read did not reach the end of what the kernel holds

    void close(std::string_view why);
    void shutdown_send();
    [[noreturn]] void throw_reason() const;
    Progress ssl_outcome(int result, const char* what);
    std::size_t read_some();
    Progress write_some();
    static void flush(const std::shared_ptr<State>& self);
    static void flush_soon(const std::shared_ptr<State>& self);
    asio::awaitable<void> wait(tcp::socket::wait_type type);
    asio::awaitable<void> handshake();
};

void Connection::State::close(std::string_view why) {
    if (closed) return;
    closed = true;
    if (!ending_since) reason = why;
    boost::system::error_code ignored;
    socket.shutdown(tcp::socket::shutdown_both, ignored);
    socket.close(ignored);
}

void Connection::State::shutdown_send() {
    ERR_clear_error();
    if (ssl) SSL_shutdown(ssl.get());
    boost::system::error_code ignored;
    socket.shutdown(tcp::socket::shutdown_send, ignored);
}

void Connection::State::throw_reason() const {
    if (key_refused) throw KeyRefusedError(reason);
    throw DisconnectionError(reason);
}

/// Waits until the socket is ready; throws the reason if the connection ended meanwhile.
asio::awaitable<void> Connection::State::wait(tcp::socket::wait_type type) {
    boost::system::error_code error;
    if (!closed) {
        auto token = asio::redirect_error(asio::use_awaitable, error);
        co_await socket.async_wait(type, token);
    }
    if (closed) throw_reason();
    // Whoever cancelled the wait knows why; it is not the peer's doing.
    if (error == asio::error::operation_aborted) throw boost::system::system_error(error);
    if (error) throw DisconnectionError(error.message());
}

/// What an OpenSSL call that did not succeed wants next; closes and throws if it failed for good.
Progress Connection::State::ssl_outcome(int result, const char* what) {
    const int error_number = errno;
    switch (SSL_get_error(ssl.get(), result)) {
        case SSL_ERROR_WANT_READ:
            return Progress::want_read;
        case SSL_ERROR_WANT_WRITE:
            return Progress::want_write;
        case SSL_ERROR_ZERO_RETURN:
            close("closed by the peer");
            break;
        case SSL_ERROR_SYSCALL:
            close(system_text(error_number));
            break;
        default: {
            const auto failure = tls_failure();
            key_refused = failure.key_refused && !SSL_is_init_finished(ssl.get());
            const bool ended = failure.text == "unexpected eof while reading";
            const char* whose = SSL_is_server(ssl.get()) ? "its key is unknown or wrong"
                                                         : "the key is unknown there or wrong";
            // A server without certificates has nothing else to offer to who brings no key.
            const bool no_key = failure.text == "no suitable signature algorithm";
            close(ended         ? "closed by the peer"
                  : key_refused ? whose
                  : no_key      ? "it offered no key"
                                : std::string(what) + ": " + failure.text);
        }
    }
    throw_reason();
}

/// Reads what is there into the inbox; 0 if there is nothing. Throws at the end of the stream.
std::size_t Connection::State::read_some() {
    auto& buffer = read_buffer();
    std::size_t count = 0;
    if (ssl) {
        ERR_clear_error();
        const int result = SSL_read_ex(ssl.get(), buffer.data(), buffer.size(), &count);
        if (result != 1) {
            ssl_outcome(result, "TLS");
            count = 0;
        }
        more_to_read = count > 0 && SSL_has_pending(ssl.get()) == 1;
    } else {
        const auto result = ::recv(socket.native_handle(), buffer.data(), buffer.size(), 0);
        if (result < 0 && (errno == EAGAIN || errno == EINTR)) {
            more_to_read = false;
            return 0;
        }
        if (result <= 0) {
            close(system_text(result < 0 ? errno : 0));
            throw_reason();
        }
        count = static_cast<std::size_t>(result);
        more_to_read = count == buffer.size();
    }
    if (count > 0 && !ending_since) {
        if (inbox_taken > 0) inbox.erase(0, inbox_taken);
        inbox_taken = 0;
        inbox.append(buffer.data(), count);
        last_heard = Clock::now();
        heard = true;
    }
    return ending_since ? 0 : count;
}

/// Writes as much of the outbox as the kernel takes now.
Progress Connection::State::write_some() {
    while (outbox_sent < outbox.size()) {
        const char* data = outbox.data() + outbox_sent;
        const std::size_t size = outbox.size() - outbox_sent;
        std::size_t count = 0;
        if (ssl) {
            ERR_clear_error();
            const int result = SSL_write_ex(ssl.get(), data, size, &count);
            if (result != 1) return ssl_outcome(result, "TLS");
        } else {
            const auto result = ::send(socket.native_handle(), data, size, MSG_NOSIGNAL);
            if (result < 0 && (errno == EAGAIN || errno == EINTR)) return Progress::want_write;
            if (result < 0) {
                close(system_text(errno));
                throw_reason();
            }
            count = static_cast<std::size_t>(result);
        }
        outbox_sent += count;
        last_taken = Clock::now();
    }
    std::string().swap(outbox);
    outbox_sent = 0;
    return Progress::done;
}

/// Sends the outbox in the background: its handlers hold this state, never the connection.
void Connection::State::flush(const std::shared_ptr<State>& self) {
    if (self->closed) return;
    try {
        const auto progress = self->write_some();
        if (progress == Progress::done) {
            if (self->ending_since) self->shutdown_send();
            return;
        }
        // A TLS 1.3 write never wants to read first: there is no renegotiation.
        self->flush_pending = true;
        self->socket.async_wait(tcp::socket::wait_write,
                                [self](const boost::system::error_code& error) {
                                    self->flush_pending = false;
                                    if (!error) flush(self);
                                });
    } catch (const DisconnectionError&) {
        // close() has kept the reason; the reader throws it.
    }
}

/// Sends of one turn of the loop leave together.
void Connection::State::flush_soon(const std::shared_ptr<State>& self) {
    if (self->flush_pending) return;
    self->flush_pending = true;
    asio::post(self->socket.get_executor(), [self] {
        self->flush_pending = false;
        flush(self);
    });
}

asio::awaitable<void> Connection::State::handshake() {
    for (;;) {
        if (closed) throw_reason();
        ERR_clear_error();
        const int result = SSL_do_handshake(ssl.get());
        if (result == 1) {
            // OpenSSL reads ahead: the peer's first frame may have come with the handshake's end.
            more_to_read = SSL_has_pending(ssl.get()) == 1;
            co_return;
        }
        const auto progress = ssl_outcome(result, "TLS handshake failed");
        const auto type =
            progress == Progress::want_read ? tcp::socket::wait_read : tcp::socket::wait_write;
        co_await wait(type);
    }
}

Connection::Connection(tcp::socket socket) : state_(std::make_shared<State>(std::move(socket))) {
    set_frame_limits(limits::control_frame_bytes, 0);
}

Connection::~Connection() {
    if (state_) state_->close("ended by this side");
}

Connection::Connection(Connection&&) noexcept = default;

const std::string& Connection::peer() const {
    return state_->peer;
}

std::string Connection::local() const {
    boost::system::error_code error;
    const auto endpoint = state_->socket.local_endpoint(error);
    return error ? std::string{} : endpoint_text(endpoint);
}

asio::awaitable<unsigned char> Connection::peek() {
    for (;;) {
        co_await state_->wait(tcp::socket::wait_read);
        unsigned char first = 0;
        const auto count = ::recv(state_->socket.native_handle(), &first, 1, MSG_PEEK);
        if (count == 1) co_return first;
        if (count < 0 && (errno == EAGAIN || errno == EINTR)) continue;
        state_->close(system_text(count < 0 ? errno : 0));
        state_->throw_reason();
    }
}

asio::awaitable<void> Connection::accept_tls(const TlsServer& tls) {
    state_->ssl = tls.accept(state_->socket.native_handle());
    co_await state_->handshake();
}

asio::awaitable<void> Connection::connect_tls(const TlsClient& tls) {
    state_->ssl = tls.connect(state_->socket.native_handle());
    co_await state_->handshake();
}

std::string Connection::identity() const {
    return tls_identity(state_->ssl.get());
}

void Connection::set_frame_limits(std::size_t max_json, std::size_t max_raw) {
    state_->splitter.set_limits(max_json, max_raw);
}

bool Connection::take_frame(Frame& frame) {
    auto& state = *state_;
    const bool over = state.closed || state.ending_since;  // what is left is not carried out
    if (over || state.inbox_taken == state.inbox.size()) {
        std::string().swap(state.inbox);
        state.inbox_taken = 0;
        return false;
    }
    const auto waiting = std::string_view(state.inbox).substr(state.inbox_taken);
    const auto taken = state.splitter.next(waiting, frame);
    state.inbox_taken += taken;
    return taken > 0;
}

asio::awaitable<void> Connection::receive() {
    auto& state = *state_;
    if (state.closed) state.throw_reason();
    if (state.more_to_read) {
        // A peer that sends faster than it is served must not keep the loop to itself.
        co_await asio::post(state.socket.get_executor(), asio::use_awaitable);
        if (state.closed) state.throw_reason();
        if (state.read_some() > 0) co_return;
    }
    do {
        co_await state.wait(tcp::socket::wait_read);
    } while (state.read_some() == 0);
}

asio::awaitable<Frame> Connection::next_frame() {
    Frame frame;
    while (!take_frame(frame)) co_await receive();
    co_return frame;
}

void Connection::send_bytes(std::string_view bytes) {
    if (!can_send()) return;
    outbox() += bytes;
    flush_soon();
}

bool Connection::can_send() const {
    return !state_->closed;
}

std::string& Connection::outbox() {
    if (state_->outbox.empty()) state_->last_taken = Clock::now();
    return state_->outbox;
}

void Connection::flush_soon() {
    if (outbox_bytes() <= limits::outbox_hard_bytes) return State::flush_soon(state_);
    state_->not_reading = true;
    state_->close("does not read: more than " + format_size(limits::outbox_hard_bytes) +
                  " wait for it");
}

void Connection::close(std::string_view reason) {
    state_->close(reason);
}

void Connection::end(std::string_view reason) {
    auto& state = *state_;
    if (state.closed || state.ending_since) return;
    state.ending_since = Clock::now();
    state.reason = reason;
    State::flush(state_);
}

asio::awaitable<void> Connection::finish(Duration patience) {
    auto& state = *state_;
    const auto deadline = Clock::now() + patience;
    const auto step = std::chrono::milliseconds(5);
    while (!state.closed && outbox_bytes() > 0 && Clock::now() < deadline) co_await sleep_for(step);
    if (state.closed) co_return;
    // Closing while bytes of the peer wait unread would reset the connection, and with it what the
    // peer has not read yet.
    state.shutdown_send();
    auto& buffer = read_buffer();
    while (Clock::now() < deadline) {
        const auto count = ::recv(state.socket.native_handle(), buffer.data(), buffer.size(), 0);
        if (count == 0 || (count < 0 && errno != EAGAIN && errno != EINTR)) break;
        co_await sleep_for(step);
    }
}

bool Connection::closed() const {
    return state_->closed;
}

bool Connection::peer_did_not_read() const {
    return state_->not_reading;
}

std::size_t Connection::outbox_bytes() const {
    return state_->outbox.size() - state_->outbox_sent;
}

Instant Connection::last_heard() const {
    return state_->last_heard;
}

bool Connection::spoke() const {
    if (state_->heard || state_->closed) return state_->heard;
    boost::system::error_code error;
    return state_->socket.available(error) > 0 || error;
}

void Connection::close_if_overdue(Instant now) {
    const bool stalled = outbox_bytes() > 0 && now - state_->last_taken >= limits::write_stall;
    if (stalled) {
        state_->not_reading = true;
        state_->close("takes no bytes: its receive window is full");
    }
    if (state_->ending_since && now - *state_->ending_since >= limits::end_time)
        state_->close(state_->reason);
}

}  // namespace rpic
