#include "common/discovery.hpp"

#include <algorithm>
#include <string>

#include "common/keys.hpp"
#include "test/fuzz/targets.hpp"

namespace rpic::fuzz {

namespace {

// The key and the nonce with which the inputs of the corpus were made.
const std::string fuzz_key = "7KQ2M-ABCDE-FGHJK-MNPQR-STUVW";
const std::string fuzz_nonce = "00112233445566778899aabbccddeeff";

std::string take_hex(std::string_view& input, std::size_t digits) {
    std::string text;
    while (text.size() < digits) text += "0123456789abcdef"[take_byte(input) % 16];
    return text;
}

/// What came from a stranger is understood or ignored; what is understood is what was sent.
void read_anything(std::string_view datagram) {
    if (const auto question = read_question(datagram)) {
        expect(question->identity.size() == 16 && question->nonce.size() == 32, "odd sizes");
        if (proves_key(datagram, fuzz_key) && question->identity == key_identity(fuzz_key))
            expect(encode_question(*question, fuzz_key) == datagram, "another question");
    }
    if (const auto answer = read_answer(datagram, fuzz_nonce, fuzz_key)) {
        expect(answer->nonce == fuzz_nonce, "an answer to somebody else");
        expect(encode_answer(*answer, fuzz_key) == datagram, "another answer");
    }
}

/// What is sent is understood as it was meant.
void write_anything(std::string_view input) {
    const DiscoveryQuestion asked{take_hex(input, 16), take_hex(input, 32)};
    const auto question = read_question(encode_question(asked, fuzz_key));
    expect(question && question->identity == asked.identity && question->nonce == asked.nonce,
           "a question that changes on its way");
    DiscoveryAnswer told{take_hex(input, 32), take_hex(input, 16), {}, 0, asked.nonce};
    for (auto& byte : told.address) byte = static_cast<unsigned char>(take_byte(input));
    told.port = static_cast<std::uint16_t>(take_byte(input) * 256 + take_byte(input));
    const auto datagram = encode_answer(told, fuzz_key);
    const auto answer = read_answer(datagram, asked.nonce, fuzz_key);
    expect(answer.has_value() == (told.port != 0), "an answer that is lost on its way");
    if (answer)
        expect(answer->cluster == told.cluster && answer->run == told.run &&
                   answer->address == told.address && answer->port == told.port,
               "an answer that changes on its way");
    expect(!read_answer(datagram, asked.nonce, "another key"), "an answer for everybody");
}

}  // namespace

void fuzz_discovery(std::string_view input) {
    const bool write = take_byte(input) % 2 == 1;
    if (write)
        write_anything(input);
    else
        read_anything(input);
}

}  // namespace rpic::fuzz
