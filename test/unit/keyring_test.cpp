#include "master/core/keyring.hpp"

#include <catch2/catch.hpp>

using namespace rpic;

namespace {

KeyRecord record(std::string identity, std::string role, std::string name = "",
                 std::int64_t expires_at = 0) {
    KeyRecord made;
    made.identity = identity;
    made.key = "key of " + identity;
    made.role = role;
    made.name = name;
    made.expires_at = expires_at;
    return made;
}

}  // namespace

TEST_CASE("keys are found by their identity") {
    Keyring keyring;
    CHECK(keyring.find("a", 0) == nullptr);
    keyring.add(record("a", "node"));
    REQUIRE(keyring.find("a", 0) != nullptr);
    CHECK(keyring.find("a", 1'000'000'000'000)->key == "key of a");
    CHECK(keyring.find("", 0) == nullptr);
    CHECK(keyring.find("A", 0) == nullptr);
    keyring.drop("b");
    keyring.drop("");
    CHECK(keyring.find("a", 0) != nullptr);
    keyring.drop("a");
    CHECK(keyring.find("a", 0) == nullptr);
    keyring.drop("a");
}

TEST_CASE("adding a key again replaces it") {
    Keyring keyring;
    keyring.add(record("a", "viewer", "eva"));
    keyring.add(record("a", "admin", "otto"));
    CHECK(keyring.find("a", 0)->role == "admin");
    CHECK(keyring.tokens().size() == 1);
    CHECK(keyring.token("eva") == nullptr);
}

TEST_CASE("a key expires at its second") {
    Keyring keyring;
    keyring.add(record("a", "viewer", "eva", 100));
    CHECK(keyring.find("a", 99) != nullptr);
    CHECK(keyring.find("a", 100) == nullptr);
    CHECK(keyring.find("a", 101) == nullptr);
    CHECK(keyring.find("a", 0) != nullptr);  // a clock that was set back
    // It is still listed, so that people see why it does not work and can revoke it.
    CHECK(keyring.token("eva") != nullptr);
    CHECK(keyring.tokens().size() == 1);
}

TEST_CASE("join key and own admin key are those without a name") {
    Keyring keyring;
    CHECK(keyring.join_key() == nullptr);
    CHECK(keyring.own_admin_key() == nullptr);
    keyring.add(record("a", "admin", "otto"));
    keyring.add(record("b", "node"));
    CHECK(keyring.own_admin_key() == nullptr);
    keyring.add(record("c", "admin"));
    keyring.add(record("d", "join"));
    REQUIRE(keyring.own_admin_key() != nullptr);
    CHECK(keyring.own_admin_key()->identity == "c");
    REQUIRE(keyring.join_key() != nullptr);
    CHECK(keyring.join_key()->identity == "d");
    keyring.drop("d");
    CHECK(keyring.join_key() == nullptr);
}

TEST_CASE("tokens are listed by name, other keys are not") {
    Keyring keyring;
    keyring.add(record("1", "viewer", "zoe"));
    keyring.add(record("2", "admin", "adam"));
    keyring.add(record("3", "submit", "mia"));
    keyring.add(record("4", "admin"));
    keyring.add(record("5", "join"));
    keyring.add(record("6", "node"));
    std::vector<std::string> names;
    for (const auto* token : keyring.tokens()) names.push_back(token->name);
    CHECK(names == std::vector<std::string>{"adam", "mia", "zoe"});
    REQUIRE(keyring.token("mia") != nullptr);
    CHECK(keyring.token("mia")->identity == "3");
    CHECK(keyring.token("") == nullptr);
    CHECK(keyring.token("nobody") == nullptr);
}

TEST_CASE("roles allow what is below them, other roles nothing") {
    const std::vector<std::string> ladder = {"viewer", "submit", "admin"};
    for (std::size_t has = 0; has < ladder.size(); ++has)
        for (std::size_t needs = 0; needs < ladder.size(); ++needs)
            CHECK(role_allows(ladder[has], ladder[needs]) == (has >= needs));
    for (const auto* other : {"join", "node", "web", "", "Admin", "root"})
        for (const auto& needed : ladder) CHECK_FALSE(role_allows(other, needed));
}

TEST_CASE("a need that is no rank is met by nobody") {
    for (const auto* needed : {"", "node", "adm1n"}) CHECK_FALSE(role_allows("admin", needed));
}
