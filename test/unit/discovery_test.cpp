#include "common/discovery.hpp"

#include <catch2/catch.hpp>

#include "common/keys.hpp"

using namespace rpic;

namespace {

const std::string asker_key = "7KQ2M-ABCDE-FGHJK-MNPQR-STUVW";
const std::string strange_key = "7KQ2M-ABCDE-FGHJK-MNPQR-STUVX";
const std::string asked_nonce = "00112233445566778899aabbccddeeff";

DiscoveryQuestion sample_question() {
    return {key_identity(asker_key), asked_nonce};
}

DiscoveryAnswer sample_answer() {
    DiscoveryAnswer told;
    told.cluster = "ffeeddccbbaa99887766554433221100";
    told.run = "0123456789abcdef";
    told.address = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 168, 1, 250};
    told.port = 50000;
    told.nonce = asked_nonce;
    return told;
}

std::string datagram_text(std::string_view bytes) {
    std::string text;
    for (const char c : bytes) {
        const auto byte = static_cast<unsigned char>(c);
        text += "0123456789abcdef"[byte >> 4];
        text += "0123456789abcdef"[byte & 15];
    }
    return text;
}

}  // namespace

TEST_CASE("a question names its key, proves it, and never holds it") {
    const auto datagram = encode_question(sample_question(), asker_key);
    CHECK(datagram.size() == discovery_bytes);
    const auto read = read_question(datagram);
    REQUIRE(read);
    CHECK(read->identity == key_identity(asker_key));
    CHECK(read->nonce == asked_nonce);
    CHECK(proves_key(datagram, asker_key));
    CHECK_FALSE(proves_key(datagram, strange_key));
    CHECK(datagram.find(asker_key) == std::string::npos);
}

TEST_CASE("an answer tells where the master is, to the one who asked") {
    const auto datagram = encode_answer(sample_answer(), asker_key);
    CHECK(datagram.size() == discovery_bytes);
    const auto read = read_answer(datagram, asked_nonce, asker_key);
    REQUIRE(read);
    CHECK(read->cluster == sample_answer().cluster);
    CHECK(read->run == sample_answer().run);
    CHECK(read->address == sample_answer().address);
    CHECK(read->port == 50000);
    // To an earlier question, or by somebody with another key: a stranger's, or a replayed one.
    CHECK_FALSE(read_answer(datagram, "00112233445566778899aabbccddeef0", asker_key));
    CHECK_FALSE(read_answer(datagram, asked_nonce, strange_key));
    CHECK_FALSE(read_answer(encode_answer(sample_answer(), strange_key), asked_nonce, asker_key));
}

TEST_CASE("a question is no answer, and an answer no question") {
    CHECK_FALSE(read_answer(encode_question(sample_question(), asker_key), asked_nonce, asker_key));
    CHECK_FALSE(read_question(encode_answer(sample_answer(), asker_key)));
}

TEST_CASE("no bit of a datagram can be changed") {
    const auto asked = encode_question(sample_question(), asker_key);
    const auto told = encode_answer(sample_answer(), asker_key);
    for (std::size_t bit = 0; bit < discovery_bytes * 8; ++bit) {
        INFO("bit " << bit);
        auto changed = asked;
        changed[bit / 8] = static_cast<char>(changed[bit / 8] ^ (1 << bit % 8));
        CHECK_FALSE((read_question(changed) && proves_key(changed, asker_key)));
        changed = told;
        changed[bit / 8] = static_cast<char>(changed[bit / 8] ^ (1 << bit % 8));
        CHECK_FALSE(read_answer(changed, asked_nonce, asker_key));
    }
}

TEST_CASE("datagrams of another length are nothing") {
    for (const auto* more : {"", "x"}) {
        const auto end = *more == '\0' ? discovery_bytes - 1 : discovery_bytes;
        CHECK_FALSE(
            read_question(encode_question(sample_question(), asker_key).substr(0, end) + more));
        CHECK_FALSE(proves_key(encode_question(sample_question(), asker_key).substr(0, end) + more,
                               asker_key));
        CHECK_FALSE(read_answer(encode_answer(sample_answer(), asker_key).substr(0, end) + more,
                                asked_nonce, asker_key));
    }
    CHECK_FALSE(read_question(""));
    CHECK_FALSE(read_answer("", asked_nonce, asker_key));
}

TEST_CASE("an answer without a port leads nowhere") {
    auto told = sample_answer();
    told.port = 0;
    CHECK_FALSE(read_answer(encode_answer(told, asker_key), asked_nonce, asker_key));
}

/// Made by the description in docs/protocol.md with another program (Python's hmac and hashlib).
TEST_CASE("the bytes are those of the description") {
    CHECK(datagram_text(encode_question(sample_question(), asker_key)) ==
          "5250435101000000fc8ca39363dbe69600112233445566778899aabbccddeeff"
          "0000000000000000000000000000000000000000000000000000000000000000"
          "bd0773f3c3ec59e4fd4f318deb6bc45caa0b93dce1140349f81026d8b22965db");
    CHECK(datagram_text(encode_answer(sample_answer(), asker_key)) ==
          "525043410100c3500123456789abcdef00112233445566778899aabbccddeeff"
          "ffeeddccbbaa9988776655443322110000000000000000000000ffffc0a801fa"
          "e51a78ee7b54dcda67774260a1523bb0a1d29b2af7c868edc78a62fbad5299ec");
}
