#include "cli/credentials.hpp"

#include <optional>

#include "common/errors.hpp"
#include "common/files.hpp"
#include "common/keys.hpp"
#include "common/limits.hpp"

namespace rpic {

namespace {

struct Login {
    HostPort master;
    std::string key;
};

std::filesystem::path login_file(const std::filesystem::path& state) {
    return state / "client" / "login";
}

/// Two lines: HOST:PORT and the key.
std::optional<Login> read_login(const std::filesystem::path& state) {
    const auto text = read_file_if_there(login_file(state), limits::key_file_bytes);
    if (!text) return std::nullopt;
    const auto lines = split(*text, '\n');
    const auto master = lines.size() == 2 ? parse_host_port(lines[0], default_port) : std::nullopt;
    const auto key = lines.size() == 2 ? canonical_key(lines[1]) : std::string{};
    if (!master || key.empty())
        throw ConfigError(login_file(state).string() +
                          " is damaged: run \"rpicluster login HOST\" again");
    return Login{*master, key};
}

std::optional<HostPort> local_master(const std::filesystem::path& state) {
    const auto text = read_file_if_there(state / "master" / "address", limits::key_file_bytes);
    return text ? parse_host_port(trim(*text), default_port) : std::nullopt;
}

}  // namespace

HostPort find_master(const Settings& settings) {
    if (const auto& given = settings.text("master"); !given.empty()) {
        const auto master = parse_host_port(given, default_port);
        if (!master)
            throw UsageError("bad value \"" + printable(given, limits::log_text_chars) +
                             "\" for --master: expected HOST or HOST:PORT");
        return *master;
    }
    const auto state = state_dir(settings.text("state-dir"));
    if (const auto login = read_login(state)) return login->master;
    if (const auto master = local_master(state)) return *master;
    throw ConfigError(
        "no master is known: run \"rpicluster login HOST\", or name it with --master "
        "HOST and a key with --key-file F (looked in " +
        state.string() + ")");
}

Credentials find_credentials(const Settings& settings) {
    Credentials credentials;
    credentials.master = find_master(settings);
    if (const auto& file = settings.text("key-file"); !file.empty()) {
        credentials.key = read_key_file(file);
        credentials.key_origin = file;
        if (credentials.key.empty()) throw ConfigError("cannot find the key file " + file);
        return credentials;
    }
    const auto state = state_dir(settings.text("state-dir"));
    if (const auto login = read_login(state)) {
        credentials.key = login->key;
        credentials.key_origin = login_file(state).string();
        return credentials;
    }
    const auto own = state / "master" / "admin.key";
    credentials.key = read_key_file(own);
    credentials.key_origin = own.string();
    if (credentials.key.empty())
        throw ConfigError(
            "no key is known: run \"rpicluster login HOST\", or name a file that holds "
            "one with --key-file F");
    return credentials;
}

void store_login(const std::filesystem::path& state, const HostPort& master,
                 const std::string& key) {
    make_private_folder(state);
    make_private_folder(state / "client");
    write_secret(login_file(state), format_host_port(master.host, master.port) + "\n" + key + "\n");
}

}  // namespace rpic
