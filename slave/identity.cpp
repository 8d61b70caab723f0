#include "slave/identity.hpp"

#include "common/errors.hpp"
#include "common/files.hpp"
#include "common/keys.hpp"
#include "common/limits.hpp"

namespace rpic {

namespace {

constexpr const char* node_key_file = "node.key";

}  // namespace

Identity::Identity(const SlaveOptions& options) : options_(options) {
    node_key_ = read_key_file(options.folder / node_key_file);
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
    auto key = read_key_file(options_.state / "master" / "join.key");
    if (key.empty())
        throw ConfigError(
            "no key to join with: run \"rpicluster token\" on the master, put what it prints into "
            "a "
            "file and name that with --key-file");
    return key;
}

void Identity::keep_node_key(const std::string& key) {
    write_secret(options_.folder / node_key_file, key + "\n");
    node_key_ = key;
}

void Identity::forget_node_key() {
    std::error_code ignored;
    std::filesystem::remove(options_.folder / node_key_file, ignored);
    node_key_.clear();
}

std::string Identity::fingerprint(const Machine& machine) const {
    if (auto fingerprint = machine.fingerprint(); !fingerprint.empty()) return fingerprint;
    const auto path = options_.folder / "fingerprint";
    if (const auto kept = read_file_if_there(path, limits::key_file_bytes); kept && !kept->empty())
        return std::string(trim(*kept));
    const auto made = "container:" + random_hex(16);
    write_secret(path, made + "\n");
    return made;
}

std::vector<HostPort> master_addresses(const SlaveOptions& options) {
    if (!options.masters.empty()) return options.masters;
    const auto path = options.state / "master" / "address";
    const auto text = read_file_if_there(path, limits::key_file_bytes);
    const auto address = text ? parse_host_port(trim(*text), 0) : std::nullopt;
    if (!address) throw ConfigError("no master is known: name it with --master HOST[:PORT]");
    return {*address};
}

}  // namespace rpic
