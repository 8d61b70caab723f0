#pragma once

#include <stdexcept>
#include <string>

namespace rpic {

/// A connection ended. `what()` is the true reason, in words that can stand in a log line after the
/// peer's address. Every loop that lives as long as a connection ends by throwing this (the
/// DisconnectionException of the seed texts).
class DisconnectionError : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

/// The master does not want this peer now. Trying again at once is of no use.
class RefusedError : public DisconnectionError {
  public:
    using DisconnectionError::DisconnectionError;
};

/// The same because of its key: unknown, wrong, removed, or for something else.
class KeyRefusedError : public RefusedError {
  public:
    using RefusedError::RefusedError;
};

/// A frame or message that breaks the protocol. `what()` names the place and what was expected.
class BadMessageError : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

/// The configuration, the state directory or the surroundings do not let the program start. One
/// line for the user: what failed, why, what to do. Daemons exit with 78 (EX_CONFIG of sysexits.h).
class ConfigError : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

/// Another process holds the lock of the state folder.
class AlreadyRunningError : public ConfigError {
  public:
    using ConfigError::ConfigError;
};

/// The command line of a client verb is wrong. Exit code 2.
class UsageError : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

/// Exit codes of the programs.
namespace exit_code {
inline constexpr int ok = 0;
inline constexpr int failed = 1;
inline constexpr int usage = 2;
inline constexpr int not_found = 3;
inline constexpr int unreachable = 4;
inline constexpr int key_refused = 5;
inline constexpr int configuration = 78;
}  // namespace exit_code

}  // namespace rpic
