#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

/// The datagrams by which a slave finds its master in a network: one question, one answer, both of
/// the same length, so that nothing is amplified. Pure. docs/protocol.md, "Discovery", has the
/// bytes.
///
/// The question names a key by its public identity and proves that the asker has it; the answer
/// proves the same of the master, for this question alone. The key itself never travels. Who has no
/// key of the cluster learns nothing, not even whether there is a master.
namespace rpic {

inline constexpr std::size_t discovery_bytes = 96;  // of each datagram

struct DiscoveryQuestion {
    std::string identity;  // of the asker's key (keys.hpp): 16 hex digits
    std::string nonce;     // 32 random hex digits, new for each search
};

struct DiscoveryAnswer {
    std::string cluster;  // 32 hex digits
    std::string run;      // 16 hex digits: one start of one master, however many addresses it has
    std::array<unsigned char, 16> address{};  // IPv6; ::ffff:a.b.c.d is IPv4
    std::uint16_t port = 0;
    std::string nonce;  // of the question
};

/// `key` is the one that the question names.
std::string encode_question(const DiscoveryQuestion& question, std::string_view key);
std::string encode_answer(const DiscoveryAnswer& answer, std::string_view key);

/// Nothing if these bytes are no question. Whoever sent them is not known before proves_key().
std::optional<DiscoveryQuestion> read_question(std::string_view datagram);

/// Whether the sender of a question or an answer has this key. `datagram` must be of the right
/// length, as read_question() has seen.
bool proves_key(std::string_view datagram, std::string_view key);

/// Nothing if these bytes are no answer to the question with this nonce by somebody with this key.
std::optional<DiscoveryAnswer> read_answer(std::string_view datagram, std::string_view nonce,
                                           std::string_view key);

}  // namespace rpic
