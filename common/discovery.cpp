#include "common/discovery.hpp"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>

#include <stdexcept>

namespace rpic {

namespace {

// Question: magic 4, version 1, zero 3, identity 8, nonce 16, zero 32, proof 32.
// Answer:   magic 4, version 1, zero 1, port 2, run 8, nonce 16, cluster 16, address 16, proof 32.
constexpr std::string_view question_magic = "RPCQ";
constexpr std::string_view answer_magic = "RPCA";
constexpr char wire_version = 1;
constexpr std::size_t who_at = 8;  // identity or run
constexpr std::size_t who_bytes = 8;
constexpr std::size_t nonce_at = 16;
constexpr std::size_t nonce_bytes = 16;
constexpr std::size_t cluster_at = 32;
constexpr std::size_t cluster_bytes = 16;
constexpr std::size_t address_at = 48;
constexpr std::size_t proof_at = 64;
constexpr std::size_t proof_bytes = 32;
static_assert(proof_at + proof_bytes == discovery_bytes);

std::string datagram_hex(std::string_view bytes) {
    constexpr std::string_view digits = "0123456789abcdef";
    std::string text;
    for (const char c : bytes) {
        const auto byte = static_cast<unsigned char>(c);
        text += digits[byte >> 4];
        text += digits[byte & 15];
    }
    return text;
}

int digit_of(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    throw std::invalid_argument("no lower-case hex digit");
}

std::string datagram_bytes(std::string_view hex, std::size_t count) {
    if (hex.size() != 2 * count) throw std::invalid_argument("not so many hex digits");
    std::string bytes;
    for (std::size_t at = 0; at < hex.size(); at += 2)
        bytes += static_cast<char>(digit_of(hex[at]) * 16 + digit_of(hex[at + 1]));
    return bytes;
}

std::string proof_of(std::string_view bytes, std::string_view key) {
    // A secret for this purpose alone, as the one of TLS is for that.
    std::string named = "rpicluster-discovery";
    named += key;
    unsigned char secret[SHA256_DIGEST_LENGTH];
    SHA256(reinterpret_cast<const unsigned char*>(named.data()), named.size(), secret);
    unsigned char proof[proof_bytes];
    if (HMAC(EVP_sha256(), secret, sizeof secret,
             reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(), proof,
             nullptr) == nullptr)
        throw std::runtime_error("HMAC failed");
    return {reinterpret_cast<const char*>(proof), proof_bytes};
}

bool begins_as(std::string_view datagram, std::string_view magic) {
    return datagram.size() == discovery_bytes && datagram.starts_with(magic) &&
           datagram[magic.size()] == wire_version;
}

std::string begin_datagram(std::string_view magic) {
    std::string datagram(magic);
    datagram += wire_version;
    datagram += '\0';
    return datagram;
}

}  // namespace

std::string encode_question(const DiscoveryQuestion& question, std::string_view key) {
    auto datagram = begin_datagram(question_magic);
    datagram += std::string(2, '\0');
    datagram += datagram_bytes(question.identity, who_bytes);
    datagram += datagram_bytes(question.nonce, nonce_bytes);
    datagram += std::string(proof_at - cluster_at, '\0');
    return datagram + proof_of(datagram, key);
}

std::string encode_answer(const DiscoveryAnswer& answer, std::string_view key) {
    auto datagram = begin_datagram(answer_magic);
    datagram += static_cast<char>(answer.port >> 8);
    datagram += static_cast<char>(answer.port & 255);
    datagram += datagram_bytes(answer.run, who_bytes);
    datagram += datagram_bytes(answer.nonce, nonce_bytes);
    datagram += datagram_bytes(answer.cluster, cluster_bytes);
    datagram.append(answer.address.begin(), answer.address.end());
    return datagram + proof_of(datagram, key);
}

std::optional<DiscoveryQuestion> read_question(std::string_view datagram) {
    if (!begins_as(datagram, question_magic)) return std::nullopt;
    return DiscoveryQuestion{datagram_hex(datagram.substr(who_at, who_bytes)),
                             datagram_hex(datagram.substr(nonce_at, nonce_bytes))};
}

bool proves_key(std::string_view datagram, std::string_view key) {
    if (datagram.size() != discovery_bytes) return false;
    const auto proof = proof_of(datagram.substr(0, proof_at), key);
    return CRYPTO_memcmp(proof.data(), datagram.data() + proof_at, proof_bytes) == 0;
}

std::optional<DiscoveryAnswer> read_answer(std::string_view datagram, std::string_view nonce,
                                           std::string_view key) {
    if (!begins_as(datagram, answer_magic)) return std::nullopt;
    DiscoveryAnswer answer;
    answer.nonce = datagram_hex(datagram.substr(nonce_at, nonce_bytes));
    if (answer.nonce != nonce || !proves_key(datagram, key)) return std::nullopt;
    answer.port = static_cast<std::uint16_t>(static_cast<unsigned char>(datagram[6]) << 8 |
                                             static_cast<unsigned char>(datagram[7]));
    if (answer.port == 0) return std::nullopt;
    answer.run = datagram_hex(datagram.substr(who_at, who_bytes));
    answer.cluster = datagram_hex(datagram.substr(cluster_at, cluster_bytes));
    const auto address = datagram.substr(address_at, answer.address.size());
    for (std::size_t i = 0; i < address.size(); ++i)
        answer.address[i] = static_cast<unsigned char>(address[i]);
    return answer;
}

}  // namespace rpic
