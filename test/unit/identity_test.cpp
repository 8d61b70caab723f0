#include "slave/identity.hpp"

#include <sys/stat.h>

#include <catch2/catch.hpp>

#include "common/errors.hpp"
#include "common/files.hpp"
#include "common/limits.hpp"
#include "test/temporary_folder.hpp"

using namespace rpic;
using namespace rpic::test;

namespace {

const std::string card_join_key = "7KQ2M-ABCDE-FGHJK-MNPQR-STUVW";
const std::string card_other_key = "7KQ2M-ABCDE-FGHJK-MNPQR-STUVX";
const std::string card_node_key = "7KQ2M-ABCDE-FGHJK-MNPQR-STUV2";

/// The state dir of a slave, and what it was started with.
struct Card {
    Card() {
        options.state = folder.path();
        options.folder = folder.path() / "slave-worker";
        std::filesystem::create_directory(options.folder);
    }

    std::optional<std::string> text(const std::string& name) const {
        return read_file_if_there(options.folder / name, limits::key_file_bytes);
    }

    mode_t mode(const std::string& name) const {
        struct stat status {};
        ::stat((options.folder / name).c_str(), &status);
        return status.st_mode & 0777;
    }

    TemporaryFolder folder;
    SlaveOptions options;
};

}  // namespace

TEST_CASE("a configured join key is taken into the state folder until the node has its own") {
    Card card;
    card.options.join_key = card_join_key;
    {
        const Identity identity(card.options);
        CHECK(identity.key() == card_join_key);
        CHECK(card.text("join.key") == card_join_key + "\n");
        CHECK(card.mode("join.key") == 0600);
    }
    // It may be deleted from the boot partition now.
    card.options.join_key.clear();
    Identity identity(card.options);
    CHECK(identity.key() == card_join_key);
    // Another one there replaces it.
    card.options.join_key = card_other_key;
    CHECK(Identity(card.options).key() == card_other_key);
    CHECK(card.text("join.key") == card_other_key + "\n");
    identity.keep_node_key(card_node_key);
    CHECK(identity.key() == card_node_key);
    CHECK_FALSE(card.text("join.key"));
    // From then on it is not even looked at.
    CHECK(Identity(card.options).key() == card_node_key);
    CHECK_FALSE(card.text("join.key"));
}

TEST_CASE("of several join keys the one in a file that was named counts") {
    Card card;
    std::filesystem::create_directory(card.options.state / "master");
    write_secret(card.options.state / "master" / "join.key", card_node_key + "\n");
    CHECK(Identity(card.options).key() == card_node_key);  // of the master on this machine
    card.options.join_key = card_join_key;
    CHECK(Identity(card.options).key() == card_join_key);
    write_secret(card.folder.path() / "key", card_other_key + "\n");
    card.options.key_file = (card.folder.path() / "key").string();
    CHECK(Identity(card.options).key() == card_other_key);
}

TEST_CASE("the last master is kept, and written only when it is another") {
    Card card;
    Identity identity(card.options);
    CHECK_FALSE(identity.last_master());
    identity.keep_master({"10.0.0.1", 12345});
    CHECK(card.text("master") == "10.0.0.1:12345\n");
    const auto path = card.options.folder / "master";
    std::filesystem::remove(path);
    identity.keep_master({"10.0.0.1", 12345});
    CHECK_FALSE(card.text("master"));  // the same again: nothing is written
    identity.keep_master({"fe80::1%eth0", 7});
    CHECK(card.text("master") == "[fe80::1%eth0]:7\n");
    const auto known = Identity(card.options).last_master();
    REQUIRE(known);
    CHECK(known->host == "fe80::1%eth0");
    CHECK(known->port == 7);
}

TEST_CASE("a slave that cannot write down where its master is remembers it all the same") {
    Card card;
    Identity identity(card.options);
    std::filesystem::create_directories(card.options.folder / "master" / "in the way");
    CHECK_NOTHROW(identity.keep_master({"10.0.0.1", 1}));
    CHECK(identity.last_master().has_value());
}

TEST_CASE("a master on this machine is found anew, not remembered") {
    Card card;
    Identity identity(card.options);
    for (const auto* host : {"127.0.0.1", "::1", "localhost"}) identity.keep_master({host, 1});
    CHECK_FALSE(card.text("master"));
}

TEST_CASE("a last master that cannot be read is none") {
    Card card;
    for (const auto* text : {"", "\n", "10.0.0.1\n", "10.0.0.1:0\n", "a b:1", "\x01:1", "[::1:7"}) {
        write_secret(card.options.folder / "master", text);
        CHECK_FALSE(Identity(card.options).last_master());
    }
}

TEST_CASE("masters that were named, and the one beside the slave") {
    Card card;
    CHECK(named_masters(card.options).empty());
    std::filesystem::create_directory(card.options.state / "master");
    write_secret(card.options.state / "master" / "address", "127.0.0.1:4000\n");
    REQUIRE(named_masters(card.options).size() == 1);
    CHECK(named_masters(card.options)[0].port == 4000);
    card.options.masters = {{"a", 1}, {"b", 2}};
    CHECK(named_masters(card.options).size() == 2);
}

TEST_CASE("a network adapter that comes or goes makes no other machine of a running slave") {
    const Card card;
    const TemporaryFolder root;
    const auto plug_in = [&](const std::string& name, const std::string& address) {
        const auto adapter = root.path() / "sys/class/net" / name;
        write_text(adapter / "addr_assign_type", "0\n");
        write_text(adapter / "type", "1\n");
        write_text(adapter / "address", address + "\n");
    };
    const Machine machine(root.path());
    plug_in("eth0", "dc:a6:32:01:02:03");
    Identity identity(card.options);
    CHECK(identity.fingerprint(machine) == "mac:dc:a6:32:01:02:03");
    plug_in("eth1", "00:e0:4c:01:02:03");
    CHECK(identity.fingerprint(machine) == "mac:dc:a6:32:01:02:03");
    CHECK(Identity(card.options).fingerprint(machine) == "mac:00:e0:4c:01:02:03");
}
