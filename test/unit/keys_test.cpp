#include "common/keys.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <map>
#include <set>
#include <string>

using namespace rpic;
using namespace std::string_literals;

namespace {

constexpr std::string_view alphabet = "23456789ABCDEFGHJKMNPQRSTUVWXYZ";
const std::string key = "7KQ2M-ABCDE-FGHJK-MNPQR-STUVW";

std::string hex(const Psk& psk) {
    std::string text;
    for (const auto byte : psk) {
        text += "0123456789abcdef"[byte >> 4];
        text += "0123456789abcdef"[byte & 15];
    }
    return text;
}

}  // namespace

TEST_CASE("keys are five groups of five letters and digits that do not look alike") {
    std::set<std::string> keys;
    std::set<char> letters;
    for (int i = 0; i < 2000; ++i) {
        const auto made = make_key();
        REQUIRE(made.size() == 29);
        for (std::size_t at = 0; at < made.size(); ++at) {
            if (at % 6 == 5) {
                REQUIRE(made[at] == '-');
            } else {
                REQUIRE(alphabet.find(made[at]) != std::string_view::npos);
                letters.insert(made[at]);
            }
        }
        REQUIRE(canonical_key(made) == made);
        keys.insert(made);
    }
    CHECK(keys.size() == 2000);
    CHECK(letters.size() == alphabet.size());
}

TEST_CASE("letters of keys are equally likely") {
    constexpr int keys = 4000;
    std::map<char, int> counts;
    for (int i = 0; i < keys; ++i)
        for (const char letter : make_key()) ++counts[letter];
    // 100,000 draws from 31 letters: 3226 of each, standard deviation 56. Taking bytes modulo 31
    // would make eight of them 3516.
    for (const char letter : alphabet) CHECK(std::abs(counts[letter] - 3226) < 5 * 56);
}

TEST_CASE("keys as people type them") {
    for (const auto& text :
         {key, "7kq2m-abcde-fghjk-mnpqr-stuvw"s, " 7KQ2M-ABCDE-FGHJK-MNPQR-STUVW\r\n"s,
          "7KQ2MABCDEFGHJKMNPQRSTUVW"s, "7KQ2M ABCDE FGHJK MNPQR STUVW"s,
          "\t7-K-Q-2-M--ABCDEFGHJK-MNPQRSTUVW-"s})
        CHECK(canonical_key(text) == key);
}

TEST_CASE("what cannot be a key") {
    for (const auto& text :
         {""s, "-----"s, "7KQ2M-ABCDE-FGHJK-MNPQR-STUV"s, "7KQ2M-ABCDE-FGHJK-MNPQR-STUVWX"s,
          "7KQ2M-ABCDE-FGHJK-MNPQR-STUV!"s, "7KQ2M_ABCDE_FGHJK_MNPQR_STUVW"s,
          "7KQ2M-ABCDE-FGHJK-MNPQR-STUV\xC3"s, "7KQ2M-ABCDE-FGHJK-MNPQR-STUVW\0"s}) {
        INFO(text);
        CHECK(canonical_key(text).empty());
    }
    for (const char letter : {'0', '1', 'I', 'L', 'O', 'i', 'l', 'o'}) {
        INFO(letter);
        CHECK(canonical_key("7KQ2M-ABCDE-FGHJK-MNPQR-STUV"s + letter).empty());
    }
}

TEST_CASE("identity and pre-shared key are hashes with a prefix") {
    // printf rpicluster-id7KQ2M-ABCDE-FGHJK-MNPQR-STUVW | sha256sum, and likewise for psk
    CHECK(key_identity(key) == "fc8ca39363dbe696");
    CHECK(hex(key_psk(key)) == "43570d68f129434f39201dd1ed5dc5d0b3674b56cc6cd39c1795aefa621572c1");
}

TEST_CASE("random texts and numbers") {
    std::set<std::string> ids;
    for (int i = 0; i < 1000; ++i) ids.insert(random_hex(16));
    CHECK(ids.size() == 1000);
    for (const auto& id : ids) {
        REQUIRE(id.size() == 32);
        REQUIRE(id.find_first_not_of("0123456789abcdef") == std::string::npos);
    }
    CHECK(random_hex(0).empty());
    double least = 1;
    double most = 0;
    for (int i = 0; i < 2000; ++i) {
        const double number = random_unit();
        least = std::min(least, number);
        most = std::max(most, number);
    }
    CHECK(least >= 0);
    CHECK(least < 0.05);
    CHECK(most < 1);
    CHECK(most > 0.95);
}
