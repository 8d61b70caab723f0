#include "slave/runner/local_connection.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cerrno>
#include <cstring>

#include "common/limits.hpp"

namespace rpic {

namespace asio = boost::asio;

/// What a pending write needs; it may outlive the connection by one turn of the loop.
struct LocalConnection::State {
    explicit State(LocalSocket s)
        : socket(std::move(s)), splitter(limits::runner_frame_bytes, limits::chunk_bytes) {
        boost::system::error_code ignored;
        socket.non_blocking(true, ignored);
    }

    LocalSocket socket;
    FrameSplitter splitter;
    std::string inbox;
    std::size_t inbox_taken = 0;
    std::string outbox;
    std::size_t outbox_sent = 0;
    std::string reason;
    bool closed = false;
    bool flush_pending = false;

    void close(std::string_view why);
    static void flush(const std::shared_ptr<State>& self);
};

void LocalConnection::State::close(std::string_view why) {
    if (closed) return;
    closed = true;
    reason = why;
    boost::system::error_code ignored;
    socket.close(ignored);
}

void LocalConnection::State::flush(const std::shared_ptr<State>& self) {
    auto& state = *self;
    while (!state.closed && state.outbox_sent < state.outbox.size()) {
        const auto count =
            ::send(state.socket.native_handle(), state.outbox.data() + state.outbox_sent,
                   state.outbox.size() - state.outbox_sent, MSG_NOSIGNAL);
        if (count > 0) {
            state.outbox_sent += static_cast<std::size_t>(count);
        } else if (errno == EAGAIN) {
            state.flush_pending = true;
            state.socket.async_wait(LocalSocket::wait_write,
                                    [self](const boost::system::error_code& error) {
                                        self->flush_pending = false;
                                        if (!error) flush(self);
                                    });
            return;
        } else if (errno == EPIPE || errno == ECONNRESET) {
            // What the peer sent before it went is still read; the reader then finds the end.
            break;
        } else if (errno != EINTR) {
            // The peer lives, and would miss what could not be sent.
            state.close(std::string("cannot send: ") + std::strerror(errno));
        }
    }
    if (state.outbox.capacity() > limits::read_bytes) std::string().swap(state.outbox);
    state.outbox.clear();
    state.outbox_sent = 0;
}

LocalConnection::LocalConnection(LocalSocket socket)
    : state_(std::make_shared<State>(std::move(socket))) {}

LocalConnection::~LocalConnection() {
    if (state_) state_->close("ended by this side");
}

LocalConnection::LocalConnection(LocalConnection&&) noexcept = default;

bool LocalConnection::take_frame(Frame& frame) {
    auto& state = *state_;
    const auto waiting = std::string_view(state.inbox).substr(state.inbox_taken);
    if (state.closed || waiting.empty()) {
        if (state.inbox.capacity() > limits::read_bytes) std::string().swap(state.inbox);
        state.inbox.clear();
        state.inbox_taken = 0;
        return false;
    }
    const auto taken = state.splitter.next(waiting, frame);
    state.inbox_taken += taken;
    return taken > 0;
}

asio::awaitable<void> LocalConnection::receive() {
    auto& state = *state_;
    for (;;) {
        boost::system::error_code error;
        if (!state.closed) {
            auto token = asio::redirect_error(asio::use_awaitable, error);
            co_await state.socket.async_wait(LocalSocket::wait_read, token);
        }
        if (state.closed) throw DisconnectionError(state.reason);
        if (error == asio::error::operation_aborted) throw boost::system::system_error(error);
        static thread_local std::array<char, limits::read_bytes> buffer;
        const auto count = ::recv(state.socket.native_handle(), buffer.data(), buffer.size(), 0);
        if (count < 0 && (errno == EAGAIN || errno == EINTR)) continue;
        if (count <= 0) {
            state.close(count == 0 ? "closed by the other side" : std::strerror(errno));
            throw DisconnectionError(state.reason);
        }
        state.inbox.erase(0, state.inbox_taken);
        state.inbox_taken = 0;
        state.inbox.append(buffer.data(), static_cast<std::size_t>(count));
        co_return;
    }
}

void LocalConnection::send_bytes(std::string_view bytes) {
    outbox() += bytes;
    flush_soon();
}

std::string& LocalConnection::outbox() {
    return state_->outbox;
}

void LocalConnection::flush_soon() {
    auto& state = *state_;
    if (outbox_bytes() > limits::outbox_hard_bytes)
        return state.close("it does not read what is sent to it");
    if (state.flush_pending || state.closed) return;
    state.flush_pending = true;
    asio::post(state.socket.get_executor(), [self = state_] {
        self->flush_pending = false;
        State::flush(self);
    });
}

void LocalConnection::close(std::string_view reason) {
    state_->close(reason);
}

bool LocalConnection::closed() const {
    return state_->closed;
}

std::size_t LocalConnection::outbox_bytes() const {
    return state_->outbox.size() - state_->outbox_sent;
}

namespace {

/// The address of `folder`/socket. A path of any length fits when it goes through a descriptor of
/// the folder, which is to be closed afterwards.
int address_of(const std::filesystem::path& folder, sockaddr_un& address) {
    const int descriptor = ::open(folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0) return -1;
    address = {};
    address.sun_family = AF_UNIX;
    const auto path = "/proc/self/fd/" + std::to_string(descriptor) + "/socket";
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    return descriptor;
}

}  // namespace

int listen_in(const std::filesystem::path& folder) {
    sockaddr_un address{};
    const int directory = address_of(folder, address);
    const int socket = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    ::unlink(address.sun_path);
    const auto* general = reinterpret_cast<const sockaddr*>(&address);
    const bool listens = directory >= 0 && socket >= 0 &&
                         ::bind(socket, general, sizeof address) == 0 &&
                         ::chmod(address.sun_path, 0600) == 0 && ::listen(socket, 16) == 0;
    const int error = errno;
    if (directory >= 0) ::close(directory);
    if (listens) return socket;
    if (socket >= 0) ::close(socket);
    throw ConfigError("cannot listen on " + (folder / "socket").string() + ": " +
                      std::strerror(error));
}

int connect_in(const std::filesystem::path& folder) {
    sockaddr_un address{};
    const int directory = address_of(folder, address);
    if (directory < 0) return -1;
    const int socket = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    const auto* general = reinterpret_cast<const sockaddr*>(&address);
    const bool connected = socket >= 0 && ::connect(socket, general, sizeof address) == 0;
    const int error = errno;
    ::close(directory);
    if (connected) return socket;
    if (socket >= 0) ::close(socket);
    errno = error;
    return -1;
}

bool peer_is_trusted(int socket) {
    ucred peer{};
    socklen_t size = sizeof peer;
    if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return false;
    return peer.uid == 0 || peer.uid == ::geteuid();
}

}  // namespace rpic
