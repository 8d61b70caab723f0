#pragma once

#include <array>
#include <string>
#include <string_view>

/// The one kind of secret: a key of 123 random bits, written as five groups of five letters and
/// digits (none of 0, 1, I, L and O, which look alike). Join keys, node keys, the admin key and
/// tokens are all of this kind. docs/security.md says who may do what with which.
namespace rpic {

/// A new key from the operating system's random source, for example "7KQ2M-...".
std::string make_key();

/// The key as written by make_key(), from what a person typed or a file holds: white space around
/// it, lower case and missing dashes do not matter. Empty if it cannot be a key.
std::string canonical_key(std::string_view text);

/// Public name of a key: the first 16 hex digits of SHA-256("rpicluster-id" | key).
std::string key_identity(std::string_view key);

/// The TLS pre-shared key: SHA-256("rpicluster-psk" | key).
using Psk = std::array<unsigned char, 32>;
Psk key_psk(std::string_view key);

/// `bytes` random bytes as lower-case hex: ids of clusters and nodes.
std::string random_hex(std::size_t bytes);

/// A number in [0, 1) that nobody can predict: jitter.
double random_unit();

}  // namespace rpic
