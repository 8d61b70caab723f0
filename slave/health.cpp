#include "slave/health.hpp"

#include <poll.h>
#include <unistd.h>

#include <boost/asio/buffer.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>
#include <cstdio>

#include "common/clock.hpp"
#include "common/errors.hpp"
#include "common/files.hpp"
#include "common/limits.hpp"
#include "common/sleep.hpp"
#include "common/text.hpp"
#include "slave/runner/local_connection.hpp"

namespace rpic {

namespace asio = boost::asio;
using asio::local::stream_protocol;

namespace {

constexpr const char* subfolder = "health";
constexpr std::string_view well = "joined";

/// All that the slave says until it closes, or nothing if that takes too long.
std::string read_answer(int socket) {
    const auto deadline = Clock::now() + limits::request_time;
    std::string answer;
    for (;;) {
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now());
        pollfd waiting{socket, POLLIN, 0};
        if (left.count() <= 0 || ::poll(&waiting, 1, static_cast<int>(left.count())) <= 0)
            return {};
        char bytes[limits::text_chars];
        const auto size = ::read(socket, bytes, sizeof bytes);
        if (size <= 0 || answer.size() > limits::log_line_chars) return answer;
        answer.append(bytes, static_cast<std::size_t>(size));
    }
}

}  // namespace

asio::awaitable<void> tell_health(std::filesystem::path folder, Trouble trouble) {
    folder /= subfolder;
    make_private_folder(folder);
    const auto executor = co_await asio::this_coro::executor;
    stream_protocol::acceptor acceptor(executor, stream_protocol(), listen_in(folder));
    for (;;) {
        boost::system::error_code error;
        stream_protocol::socket socket(executor);
        auto token = asio::redirect_error(asio::use_awaitable, error);
        co_await acceptor.async_accept(socket, token);
        if (error == asio::error::operation_aborted) throw boost::system::system_error(error);
        if (error) {
            // No descriptor is free: whoever asks is answered when there is one again.
            co_await sleep_for(limits::request_time);
            continue;
        }
        auto answer = trouble();
        if (answer.empty()) answer = well;
        // It has room in the socket's buffer; one that does not read it cannot hold us up.
        socket.non_blocking(true, error);
        socket.write_some(asio::buffer(answer), error);
    }
}

int ask_health(const std::filesystem::path& folder) {
    const int socket = connect_in(folder / subfolder);
    if (socket < 0) {
        std::printf("no slave runs with %s\n", folder.c_str());
        return exit_code::failed;
    }
    const auto answer = read_answer(socket);
    ::close(socket);
    std::printf("%s\n", answer.empty() ? "the slave does not answer"
                                       : printable(answer, limits::log_line_chars).c_str());
    return answer == well ? exit_code::ok : exit_code::failed;
}

}  // namespace rpic
