#pragma once

#include <openssl/ssl.h>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <catch2/catch.hpp>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "common/errors.hpp"
#include "slave/web/web_server.hpp"
#include "test/temporary_folder.hpp"

/// A web server and its clients on one io_context, for the tests. Nothing here blocks: the fixture
/// turns the loop until what the test waits for has come true.
namespace web_test {

namespace asio = boost::asio;
using asio::ip::tcp;
using rpic::test::TemporaryFolder;
using namespace std::chrono_literals;

/// One answer of the server.
struct HttpReply {
    int status = 0;
    std::string head;
    std::string body;

    /// The value of a field, or "(none)"; of several with one name the first.
    std::string field(const std::string& name) const {
        const auto start = head.find("\r\n" + name + ": ");
        if (start == std::string::npos) return "(none)";
        const auto value = start + name.size() + 4;
        return head.substr(value, head.find("\r\n", value) - value);
    }
};

class WebClient {
  public:
    /// Connects from `source`: the tests call 127.0.0.1 this machine and 127.0.0.2 another.
    WebClient(asio::io_context& io, std::uint16_t port, const char* source = "127.0.0.1",
              const char* server = "127.0.0.1", int receive_buffer = 0)
        : socket_(io) {
        socket_.open(tcp::v4());
        if (receive_buffer > 0)
            socket_.set_option(asio::socket_base::receive_buffer_size(receive_buffer));
        socket_.bind({asio::ip::make_address(source), 0});
        socket_.connect({asio::ip::make_address(server), port});
        socket_.non_blocking(true);
    }
    ~WebClient() {
        if (ssl_) SSL_free(ssl_);
        if (context_) SSL_CTX_free(context_);
    }
    WebClient(const WebClient&) = delete;
    WebClient& operator=(const WebClient&) = delete;

    void start_tls() {
        // OpenSSL writes to the socket by write(2), which raises it when the server has closed.
        std::signal(SIGPIPE, SIG_IGN);
        context_ = SSL_CTX_new(TLS_client_method());
        ssl_ = SSL_new(context_);
        SSL_set_fd(ssl_, socket_.native_handle());
        SSL_set_connect_state(ssl_);
    }

    void send(std::string_view text) { unsent_ += text; }

    /// Moves what can be moved without waiting.
    void pump() {
        char chunk[16384];
        for (bool moved = true; moved && !closed_;) {
            moved = false;
            if (const int bytes = write(unsent_); bytes > 0) {
                unsent_.erase(0, static_cast<std::size_t>(bytes));
                moved = true;
            }
            if (const int bytes = read(chunk, sizeof chunk); bytes > 0) {
                received.append(chunk, static_cast<std::size_t>(bytes));
                moved = true;
            }
        }
    }

    /// The next whole answer in `received`; `head` for one that has no body by its method.
    std::optional<HttpReply> take_reply(bool head = false) {
        const auto end = received.find("\r\n\r\n");
        if (end == std::string::npos) return std::nullopt;
        HttpReply reply;
        reply.head = received.substr(0, end + 2);
        reply.status = std::atoi(reply.head.c_str() + 9);
        const std::string length = reply.field("Content-Length");
        std::size_t body = 0;
        if (!head && length != "(none)") body = std::stoul(length);
        if (received.size() < end + 4 + body) return std::nullopt;
        reply.body = received.substr(end + 4, body);
        received.erase(0, end + 4 + body);
        return reply;
    }

    bool closed() const { return closed_; }
    SSL* ssl() { return ssl_; }
    tcp::socket& socket() { return socket_; }

    std::string received;

  private:
    int read(char* into, int size) {
        if (ssl_) {
            const int bytes = SSL_read(ssl_, into, size);
            if (bytes <= 0) note_end(SSL_get_error(ssl_, bytes));
            return bytes;
        }
        boost::system::error_code error;
        const auto bytes = socket_.read_some(asio::buffer(into, size), error);
        if (error && error != asio::error::would_block) closed_ = true;
        return error ? 0 : static_cast<int>(bytes);
    }

    int write(const std::string& from) {
        if (from.empty()) return 0;
        if (ssl_) return SSL_write(ssl_, from.data(), static_cast<int>(from.size()));
        boost::system::error_code error;
        const auto bytes = socket_.write_some(asio::buffer(from), error);
        return error ? 0 : static_cast<int>(bytes);
    }

    void note_end(int error) {
        if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE) closed_ = true;
    }

    tcp::socket socket_;
    SSL_CTX* context_ = nullptr;
    SSL* ssl_ = nullptr;
    std::string unsent_;
    bool closed_ = false;
};

class Fixture {
  public:
    /// `beyond`: 127.0.0.2 counts as another machine, and the server listens on it.
    explicit Fixture(bool beyond = false, rpic::WebTimes times = {})
        : view(io.get_executor()), address_(beyond ? "127.0.0.2" : "127.0.0.1") {
        rpic::WebOptions options;
        options.bind = address_;
        options.port = 0;
        options.state_dir = folder.path();
        options.times = times;
        if (beyond) {
            options.is_loopback = [](const asio::ip::address& address) {
                return address.to_string() == "127.0.0.1";
            };
        }
        rpic::MasterAccess master;
        master.check_token = [this](std::string token) { return check_token(token); };
        server.emplace(io.get_executor(), options, view, master);
        view.starting = false;
        auto ended = [this](std::exception_ptr) { ended_ = true; };
        asio::co_spawn(io, server->run(), asio::bind_cancellation_slot(stop_.slot(), ended));
    }
    ~Fixture() { stop(); }

    /// Turns the loop until `done`; false if it takes longer than `patience`.
    bool until(const std::function<bool()>& done, std::chrono::milliseconds patience = 10s) {
        const auto deadline = std::chrono::steady_clock::now() + patience;
        while (!done()) {
            if (std::chrono::steady_clock::now() > deadline) return false;
            io.restart();
            io.run_for(2ms);
        }
        return true;
    }

    void stop() {
        stop_.emit(asio::cancellation_type::terminal);
        const bool in_time = until([this] { return ended_; }, 5s);
        if (!in_time) std::abort();  // its coroutines still refer to the server
    }
    bool ended() const { return ended_; }

    std::unique_ptr<WebClient> connect(const char* source = "127.0.0.1", int receive_buffer = 0) {
        return std::make_unique<WebClient>(io, server->port(), source, address_, receive_buffer);
    }

    HttpReply next_reply(WebClient& client, bool head = false) {
        std::optional<HttpReply> reply;
        const bool came = until([&] {
            client.pump();
            reply = client.take_reply(head);
            return reply.has_value();
        });
        INFO("received: " << client.received);
        REQUIRE(came);
        return *reply;
    }

    HttpReply ask(WebClient& client, const std::string& path, const std::string& fields = "") {
        client.send("GET " + path + " HTTP/1.1\r\nHost: localhost\r\n" + fields + "\r\n");
        return next_reply(client);
    }

    /// One request on a connection of its own.
    HttpReply get(const std::string& path, const std::string& fields = "") {
        const auto client = connect();
        return ask(*client, path, fields);
    }

    HttpReply send(const std::string& request) {
        const auto client = connect();
        client->send(request);
        return next_reply(*client);
    }

    bool closes(WebClient& client, std::chrono::milliseconds patience = 10s) {
        return until(
            [&] {
                client.pump();
                return client.closed();
            },
            patience);
    }

    /// Opens the event stream and waits for its first event.
    std::unique_ptr<WebClient> watch() {
        auto client = connect();
        client->send("GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n");
        REQUIRE(next_event(*client) != "");
        return client;
    }

    /// The data of the next event of that type; empty if none comes.
    std::string next_event(WebClient& client, const std::string& type = "state") {
        const std::string start = "event: " + type + "\ndata: ";
        std::string data;
        until([&] {
            client.pump();
            const auto from = client.received.find(start);
            if (from == std::string::npos) return client.closed();
            const auto to = client.received.find("\n\n", from);
            if (to == std::string::npos) return client.closed();
            data = client.received.substr(from + start.size(), to - from - start.size());
            client.received.erase(0, to + 2);
            return true;
        });
        return data;
    }

    /// A node that is another one than before, so that there is news.
    void change_something() {
        rpic::NodeView node;
        node.id = node.name = "changing";
        node.running_tasks = ++changes_;
        view.put_node(node, rpic::Clock::now());
        view.touch();
    }

    asio::awaitable<rpic::TokenRole> check_token(std::string token) {
        ++questions;
        if (master_away) throw rpic::DisconnectionError("no link");
        rpic::TokenRole who;
        if (token == "viewer-token") who.role = "viewer";
        if (token == "submit-token") who.role = "submit";
        if (token == "admin-token") who.role = "admin";
        if (token == revoked) who.role.clear();
        if (!who.role.empty()) who.name = token;
        co_return who;
    }

    asio::io_context io;
    TemporaryFolder folder;
    rpic::ClusterView view;
    std::optional<rpic::WebServer> server;
    int questions = 0;  // of the server to the master about tokens
    bool master_away = false;
    std::string revoked = "-";

  private:
    const char* address_;
    asio::cancellation_signal stop_;
    bool ended_ = false;
    std::int64_t changes_ = 0;
};

inline rpic::NodeView make_node(const std::string& id, const std::string& name) {
    rpic::NodeView node;
    node.id = id;
    node.name = name;
    node.state = "online";
    node.role = "worker";
    node.last_seen_seconds = 1.5;
    return node;
}

}  // namespace web_test
