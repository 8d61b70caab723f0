#include <algorithm>
#include <cstdio>

#include "common/limits.hpp"
#include "common/text.hpp"
#include "slave/web/web_session.hpp"

/// The bodies of requests and answers: what a session does with bytes.
namespace rpic {

namespace asio = boost::asio;
using asio::awaitable;

awaitable<std::string> WebSession::body_part(std::size_t most) {
    if (request_.expects_continue && input_.empty() && body_left_ > 0)
        co_await send_bytes("HTTP/1.1 100 Continue\r\n\r\n");
    request_.expects_continue = false;
    std::string part;
    const std::size_t wanted = static_cast<std::size_t>(std::min<std::uint64_t>(most, body_left_));
    while (part.size() < wanted) {
        // A stranger has that time for all of it, others for each piece.
        if (part.empty() || trusts_sender() || admitted_)
            expect_within(shared_.times.request, "its body was too slow");
        if (input_.empty()) {
            input_.resize(std::min<std::size_t>(wanted - part.size(), 64 * 1024));
            const std::size_t bytes = co_await stream_.read_some(asio::buffer(input_));
            input_.resize(bytes);
        }
        const std::size_t taken = std::min(input_.size(), wanted - part.size());
        part.append(input_, 0, taken);
        input_.erase(0, taken);
    }
    body_left_ -= part.size();
    co_return part;
}

awaitable<std::string> WebSession::body(std::size_t most) {
    if (body_left_ > most)
        throw ProblemError(
            413, "the body is larger than " + format_size(static_cast<std::int64_t>(most)));
    std::string text = co_await body_part(most);
    co_return text;
}

awaitable<void> WebSession::send_answer(const Answer& reply) {
    std::string bytes = answer_header(reply, keeps_alive(reply));
    std::string_view body;
    if (request_.method != "HEAD" && reply.status != 304) body = reply.body();
    // One packet less is worth a copy of some bytes; a copy of many is not.
    const std::size_t together = std::min<std::size_t>(body.size(), 16 * 1024);
    bytes += body.substr(0, together);
    body.remove_prefix(together);
    co_await send_bytes(bytes);
    co_await send_bytes(body);
}

awaitable<bool> WebSession::begin(Answer head) {
    // HTTP/1.0 knows no chunks: there the end of the connection ends the answer.
    if (request_.old_http) head.events = head.events || head.chunked;
    head.chunked = head.chunked && !request_.old_http;
    answer_chunked_ = head.chunked;
    begun_ = true;
    // What is announced here holds when the answer has ended.
    request_.keep_alive = keeps_alive(head);
    const std::string bytes = answer_header(head, request_.keep_alive);
    co_await send_bytes(bytes);
    co_return request_.method != "HEAD";
}

awaitable<void> WebSession::write(std::string bytes) {
    if (bytes.empty()) co_return;
    if (answer_chunked_) {
        char length[20];
        std::snprintf(length, sizeof length, "%zx\r\n", bytes.size());
        bytes.insert(0, length);
        bytes += "\r\n";
    }
    co_await send_bytes(bytes);
}

awaitable<void> WebSession::end() {
    if (answer_chunked_) co_await send_bytes("0\r\n\r\n");
}

awaitable<void> WebSession::send_bytes(std::string_view bytes) {
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
