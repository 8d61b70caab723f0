#pragma once

#include <filesystem>
#include <string>

#include "common/settings.hpp"
#include "common/text.hpp"

namespace rpic {

inline constexpr std::uint16_t default_port = 12345;

/// Which master to talk to, and with which key.
struct Credentials {
    HostPort master;
    std::string key;
    std::string key_origin;  // where the key was found, for messages
};

/// From the flags, the environment and the file; what these leave open from `rpicluster login`,
/// else from the master that shares the state dir. Throws ConfigError that says what to do when
/// nothing is found.
Credentials find_credentials(const Settings& settings);

/// The master alone, likewise.
HostPort find_master(const Settings& settings);

/// Keeps what `login` was given.
void store_login(const std::filesystem::path& state, const HostPort& master,
                 const std::string& key);

}  // namespace rpic
