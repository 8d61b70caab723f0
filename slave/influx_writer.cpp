#include "slave/influx_writer.hpp"

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include "common/dial.hpp"
#include "common/errors.hpp"
#include "common/limits.hpp"
#include "common/log.hpp"
#include "common/sleep.hpp"
#include "common/until_first_failure.hpp"
#include "slave/web/metrics_text.hpp"

namespace rpic {

namespace {

constexpr std::uint16_t influx_port = 8086;

std::string request_text(const InfluxTarget& target, const std::string& token,
                         const std::string& lines) {
    std::string text = "POST " + target.target + " HTTP/1.1\r\nHost: " +
                       format_host_port(target.host.host, target.host.port) +
                       "\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n";
    if (!token.empty()) text += "Authorization: Token " + token + "\r\n";
    text += "Content-Length: " + std::to_string(lines.size()) + "\r\n\r\n";
    return text + lines;
}

/// Sends the request and reads the beginning of the answer.
asio::awaitable<void> talk(InfluxTarget target, std::string request, std::string& answer) {
    tcp::socket socket = co_await dial_socket(target.host);
    boost::system::error_code error;
    auto token = asio::redirect_error(asio::use_awaitable, error);
    co_await asio::async_write(socket, asio::buffer(request), token);
    std::string piece(1024, '\0');
    while (!error && answer.size() < limits::influx_answer_bytes) {
        const auto bytes = co_await socket.async_read_some(asio::buffer(piece), token);
        answer.append(piece, 0, bytes);
    }
    if (error == asio::error::operation_aborted) throw boost::system::system_error(error);
    if (answer.empty()) throw DisconnectionError(error.message());
}

/// What the database says of an error, without its header.
std::string complaint_of(const std::string& answer) {
    const auto body = answer.find("\r\n\r\n");
    return printable(answer.substr(0, answer.find("\r\n")) +
                         (body == std::string::npos ? "" : ": " + answer.substr(body + 4)),
                     limits::log_text_chars);
}

}  // namespace

std::optional<InfluxTarget> parse_influx_url(std::string_view url) {
    constexpr std::string_view scheme = "http://";
    if (!url.starts_with(scheme)) return std::nullopt;
    url.remove_prefix(scheme.size());
    const auto slash = std::min(url.find('/'), url.size());
    const auto host = parse_host_port(url.substr(0, slash), influx_port);
    const bool clean = printable(url, url.size() + 1) == url && url.find(' ') == url.npos;
    if (!host || slash == url.size() || !clean) return std::nullopt;
    return InfluxTarget{*host, std::string(url.substr(slash))};
}

asio::awaitable<void> InfluxWriter::post(std::string lines) {
    const auto target = parse_influx_url(options_.url);
    if (!target) co_return;
    auto request = request_text(*target, options_.token, lines);
    std::string answer;
    std::string trouble;
    try {
        co_await until_first_failure(talk(*target, std::move(request), answer),
                                     sleep_for(limits::influx_time));
        if (answer.empty()) trouble = "it does not answer";
        const bool taken = answer.starts_with("HTTP/1.1 2") || answer.starts_with("HTTP/1.0 2");
        if (!answer.empty() && !taken) trouble = "it answered " + complaint_of(answer);
    } catch (const DisconnectionError& error) {
        trouble = error.what();
    }
    if (!trouble.empty())
        log_rarely(Severity::warning, "influxdb", "",
                   "measurements did not reach InfluxDB: " + trouble);
}

asio::awaitable<void> InfluxWriter::run() {
    for (;;) {
        const bool off = options_.url.empty();
        const Duration pause = off ? Duration(std::chrono::hours(24)) : options_.interval;
        co_await sleep_for(pause);
        if (off || !view_.connected) continue;
        const auto wall = wall_seconds();
        // While the clock is not set, the database knows better what time it is.
        auto lines = influx_lines(view_, wall >= limits::clock_set_after ? wall : 0);
        if (!lines.empty()) co_await post(std::move(lines));
    }
}

}  // namespace rpic
