#pragma once

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cstdint>
#include <iostream>
#include <string>

#include "common/connection.hpp"
#include "common/plain_messages.hpp"

/// What all modes of the load generator share.
namespace rpic::bench {

struct Options {
    std::string mode;
    std::uint16_t port = 0;
    std::size_t connections = 100;
    std::size_t first = 0;      // number of the first peer: crowds side by side need other ones
    std::size_t at_once = 128;  // that connect for the first time: half of what the lobby takes
    std::size_t messages = 1'000'000;
    std::size_t batch = 200;
    std::string key_file;
    double seconds = 0;
    double heartbeat = 5;
    bool one_address = false;
    bool wait = false;
    std::int64_t cpus = 64;
    std::string task;
};

inline void print(json::object event) {
    std::cout << json::serialize(event) << std::endl;
}

inline double seconds_of(Instant instant) {
    return to_seconds(instant.time_since_epoch());
}

/// A connected socket. Every peer has an address of its own, as boards have.
inline asio::awaitable<tcp::socket> connect_from(const Options& options, std::size_t number) {
    const auto executor = co_await asio::this_coro::executor;
    tcp::socket socket(executor);
    boost::system::error_code error;
    socket.open(tcp::v4(), error);
    const auto own = asio::ip::address_v4(0x7f010000U + static_cast<std::uint32_t>(number));
    if (!error && !options.one_address) socket.bind(tcp::endpoint(own, 0), error);
    if (error) throw std::runtime_error("cannot make a socket: " + error.message());
    const tcp::endpoint master(asio::ip::address_v4::loopback(), options.port);
    auto token = asio::redirect_error(asio::use_awaitable, error);
    co_await socket.async_connect(master, token);
    if (error) throw DisconnectionError("cannot connect: " + error.message());
    socket.set_option(tcp::no_delay(true), error);
    co_return socket;
}

inline std::string plain_introduction(std::size_t number) {
    plain::Details details;
    details.machine.hostname = "plain-" + std::to_string(number);
    details.machine.cpu = "Cortex-A72";
    details.machine.cpu_cores = 4;
    details.machine.ram_bytes = std::int64_t{4} << 30;
    details.cpu_percent_used = 12.5;
    return plain::json_frame("computer_details", plain::details_to_json(details)) +
           plain::text_frame("info", "uuid");
}

inline std::string payload_text(std::string_view frame) {
    ParseArena arena;
    const auto envelope = open_envelope(frame, arena);
    const auto* text = envelope.payload->if_string();
    return text == nullptr ? std::string{} : std::string(*text);
}

inline std::string plain_heartbeat(const std::string& uuid) {
    return plain::text_frame("message", "I am still alive, client: " + uuid);
}

}  // namespace rpic::bench
