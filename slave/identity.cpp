#include "slave/identity.hpp"

#include "common/errors.hpp"
#include "common/files.hpp"
#include "common/keys.hpp"
#include "common/limits.hpp"
#include "common/log.hpp"

namespace rpic {

namespace {

constexpr const char* node_key_file = "node.key";
constexpr const char* join_key_file = "join.key";  // only if the key was configured itself
constexpr const char* last_master_file = "master";

bool on_this_machine(const std::string& host) {
    return host == "localhost" || host == "::1" || host.starts_with("127.");
}

/// A file that was damaged is as good as none: the master is found again.
std::optional<HostPort> read_last_master(const std::filesystem::path& path) {
    const auto text = read_file_if_there(path, limits::key_file_bytes);
    if (!text || printable(trim(*text), limits::text_chars) != trim(*text)) return std::nullopt;
    const auto master = parse_host_port(trim(*text), 0);
    return master && master->port != 0 ? master : std::nullopt;
}

}  // namespace

Identity::Identity(const SlaveOptions& options) : options_(options) {
    node_key_ = read_key_file(options.folder / node_key_file);
    last_master_ = read_last_master(options.folder / last_master_file);
    const auto taken = options.folder / join_key_file;
    if (!has_node_key() && !options.join_key.empty() && read_key_file(taken) != options.join_key)
        write_secret(taken, options.join_key + "\n");
}

std::string Identity::key() const {
    return has_node_key() ? node_key_ : join_key();
}

std::string Identity::join_key() const {
    if (!options_.key_file.empty()) {
        auto key = read_key_file(options_.key_file);
        if (key.empty())
            throw ConfigError("cannot find the key file " + options_.key_file +
                              ": write into it what \"rpicluster token\" prints on the master");
        return key;
    }
    if (!options_.join_key.empty()) return options_.join_key;
    for (const auto& path :
         {options_.folder / join_key_file, options_.state / "master" / "join.key"})
        if (auto key = read_key_file(path); !key.empty()) return key;
    throw ConfigError(
        "no key to join with: run \"rpicluster token\" on the master, put what it prints into a "
        "file and name that with --key-file");
}

void Identity::keep_node_key(const std::string& key) {
    write_secret(options_.folder / node_key_file, key + "\n");
    node_key_ = key;
    std::error_code ignored;
    std::filesystem::remove(options_.folder / join_key_file, ignored);
}

void Identity::keep_master(const HostPort& master) {
    const auto text = format_host_port(master.host, master.port);
    if (on_this_machine(master.host)) return;
    if (last_master_ && format_host_port(last_master_->host, last_master_->port) == text) return;
    last_master_ = master;
    try {
        write_secret(options_.folder / last_master_file, text + "\n");
    } catch (const ConfigError& error) {
        // A full disk is no reason to leave a cluster: the master can be found again.
        log_rarely(Severity::warning, "last master", "", error.what());
    }
}

void Identity::forget_node_key() {
    std::error_code ignored;
    std::filesystem::remove(options_.folder / node_key_file, ignored);
    node_key_.clear();
}

const std::string& Identity::fingerprint(const Machine& machine) {
    if (fingerprint_.empty()) fingerprint_ = find_fingerprint(machine);
    return fingerprint_;
}

std::string Identity::find_fingerprint(const Machine& machine) const {
    if (auto fingerprint = machine.fingerprint(); !fingerprint.empty()) return fingerprint;
    const auto path = options_.folder / "fingerprint";
    if (const auto kept = read_file_if_there(path, limits::key_file_bytes); kept && !kept->empty())
        return std::string(trim(*kept));
    const auto made = "container:" + random_hex(16);
    write_secret(path, made + "\n");
    return made;
}

std::vector<HostPort> named_masters(const SlaveOptions& options) {
    if (!options.masters.empty()) return options.masters;
    const auto path = options.state / "master" / "address";
    const auto text = read_file_if_there(path, limits::key_file_bytes);
    const auto address = text ? parse_host_port(trim(*text), 0) : std::nullopt;
    if (!address) return {};
    return {*address};
}

}  // namespace rpic
