#include <termios.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <iostream>
#include <optional>

#include "cli/verbs.hpp"
#include "common/errors.hpp"
#include "common/files.hpp"
#include "common/keys.hpp"
#include "common/limits.hpp"
#include "common/text.hpp"

namespace rpic {

namespace {

int show_join_key(const Invocation& invocation, Arguments arguments) {
    GetJoinKey request;
    request.rotate = arguments.take_toggle("--rotate");
    arguments.finish();
    Client client(find_credentials(invocation.settings));
    const auto answer = client.ask<JoinKey>(request);
    if (invocation.machine_readable()) {
        json::object value;
        value["join_key"] = answer.join_key;
        print_json(std::move(value));
    } else {
        std::printf("%s\n", answer.join_key.c_str());
    }
    return exit_code::ok;
}

int create_token(const Invocation& invocation, Arguments arguments) {
    CreateToken request;
    const auto role = arguments.take_value("--role");
    request.name = arguments.take_value("--name").value_or("");
    const auto ttl = arguments.take_value("--ttl");
    arguments.finish();
    if (node_name(request.name) != request.name)
        throw UsageError("bad value \"" + printable(request.name, limits::log_text_chars) +
                         "\" for --name: expected at most 63 letters, digits, '.', '_' and '-'");
    if (!role) throw UsageError("--role viewer, submit or admin is missing");
    if (*role != "viewer" && *role != "submit" && *role != "admin")
        throw UsageError("bad value \"" + *role +
                         "\" for --role: expected viewer, submit or admin");
    request.role = *role;
    if (ttl) {
        const auto time = parse_duration(*ttl);
        if (!time || *time < std::chrono::seconds(1))
            throw UsageError("bad value \"" + *ttl +
                             "\" for --ttl: expected a duration such as 12h or 30d");
        request.ttl_seconds = std::chrono::duration_cast<std::chrono::seconds>(*time).count();
    }
    Client client(find_credentials(invocation.settings));
    const auto answer = client.ask<TokenCreated>(request);
    if (invocation.machine_readable()) {
        json::object value;
        value["token"] = answer.token;
        value["name"] = answer.name;
        value["role"] = request.role;
        print_json(std::move(value));
    } else {
        std::printf("%s\n", answer.token.c_str());
        if (std::fflush(stdout) != 0)
            throw std::runtime_error(
                "cannot write the token out, and it is not shown again: run "
                "\"rpicluster token revoke " +
                answer.name + "\"");
        std::fprintf(stderr, "This is the token %s; it is not shown again.\n", answer.name.c_str());
    }
    return exit_code::ok;
}

int list_tokens(const Invocation& invocation, const Arguments& arguments) {
    arguments.finish();
    Client client(find_credentials(invocation.settings));
    const auto tokens = client.ask_all(ListTokens{}, &TokenList::tokens);
    if (invocation.format == Format::json) {
        json::object value;
        value["tokens"] = to_json(tokens);
        print_json(std::move(value));
    } else if (invocation.format == Format::jsonl) {
        for (const auto& token : tokens) print_json_line(to_json(token));
    } else {
        Table table({"NAME", "ROLE", "CREATED", "EXPIRES"});
        for (const auto& token : tokens)
            table.add({{token.name},
                       {token.role},
                       {token.created_at},
                       {token.expires_at.value_or("never")}});
        table.print();
    }
    return exit_code::ok;
}

int revoke_token(const Invocation& invocation, Arguments arguments) {
    RevokeToken request;
    request.name = arguments.take_word("the name of the token");
    arguments.finish();
    Client client(find_credentials(invocation.settings));
    client.ask<Done>(request);
    if (invocation.machine_readable()) {
        json::object value;
        value["revoked"] = request.name;
        print_json(std::move(value));
    } else {
        std::printf("%s is revoked.\n", request.name.c_str());
    }
    return exit_code::ok;
}

termios terminal_before{};  // of HiddenTyping, where a signal handler finds it

/// Ctrl-C and its like: not every shell makes the terminal show again what is typed.
void show_typing_and_end(int signal) {
    ::tcsetattr(0, TCSANOW, &terminal_before);
    ::raise(signal);  // SA_RESETHAND: this one ends us
}

/// While it lives the terminal does not show what is typed. Afterwards it does, also if a signal
/// has ended this process.
class HiddenTyping {
  public:
    HiddenTyping() {
        ::tcgetattr(0, &terminal_before);
        struct sigaction action {};
        action.sa_handler = &show_typing_and_end;
        action.sa_flags = SA_RESETHAND;
        for (const int signal : ending_) ::sigaction(signal, &action, nullptr);
        termios hidden = terminal_before;
        hidden.c_lflag &= ~static_cast<tcflag_t>(ECHO);
        hidden.c_cc[VSUSP] = _POSIX_VDISABLE;  // Ctrl-Z would leave it hidden, too
        ::tcsetattr(0, TCSANOW, &hidden);
    }
    ~HiddenTyping() {
        ::tcsetattr(0, TCSANOW, &terminal_before);
        for (const int signal : ending_) std::signal(signal, SIG_DFL);
    }
    HiddenTyping(const HiddenTyping&) = delete;
    HiddenTyping& operator=(const HiddenTyping&) = delete;

  private:
    static constexpr int ending_[] = {SIGINT, SIGQUIT, SIGTERM, SIGHUP};
};

/// A line of stdin; a person who types it does not see it.
std::string read_secret_line() {
    std::optional<HiddenTyping> hidden;
    if (::isatty(0) == 1) {
        hidden.emplace();
        std::fprintf(stderr, "Token: ");
    }
    std::string line;
    std::getline(std::cin, line);
    if (hidden) std::fprintf(stderr, "\n");
    return line;
}

}  // namespace

int verb_token(const Invocation& invocation) {
    Arguments arguments(invocation.arguments);
    const auto what = arguments.take_optional_word();
    if (!what) return show_join_key(invocation, arguments);
    if (*what == "create") return create_token(invocation, arguments);
    if (*what == "list") return list_tokens(invocation, arguments);
    if (*what == "revoke") return revoke_token(invocation, arguments);
    throw UsageError("unknown \"token " + *what + "\": expected create, list or revoke");
}

int verb_login(const Invocation& invocation) {
    Arguments arguments(invocation.arguments);
    const auto host = arguments.take_word("the master's host name or address");
    arguments.finish();
    const auto master = parse_host_port(host, default_port);
    if (!master) throw UsageError("bad address \"" + host + "\": expected HOST or HOST:PORT");
    Credentials credentials;
    credentials.master = *master;
    credentials.key = canonical_key(read_secret_line());
    if (credentials.key.empty())
        throw UsageError(
            "that is no token: expected five groups of five letters and digits on stdin, "
            "as \"rpicluster token create\" prints them");
    Client client(credentials);
    client.ask<Status>(GetStatus{});
    store_login(state_dir(invocation.settings.text("state-dir")), *master, credentials.key);
    const auto address = format_host_port(master->host, master->port);
    if (invocation.machine_readable()) {
        json::object value;
        value["master"] = address;
        print_json(std::move(value));
    } else {
        std::fprintf(stderr, "Logged in at %s.\n", address.c_str());
    }
    return exit_code::ok;
}

}  // namespace rpic
