#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <set>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "common/errors.hpp"
#include "common/limits.hpp"
#include "common/settings.hpp"

using namespace rpic;
using namespace std::string_literals;

namespace {

using Strings = std::vector<std::string>;

Settings load(Program program, const std::string& text, const Strings& arguments = {}) {
    return load_settings(
        program, arguments, [](const std::string&) { return nullptr; },
        [&](const std::string& path) {
            // A card that was prepared on a PC has another one.
            return path.starts_with("/boot/") ? std::nullopt : std::optional(text);
        });
}

std::string listed(std::string_view text) {
    std::string result;
    for (const auto& entry : parse_ini(text, "f").entries)
        result += entry.section + "/" + entry.key + "=" + entry.value + "@" +
                  std::to_string(entry.line) + "\n";
    return result;
}

std::string complaint(std::string_view text) {
    try {
        parse_ini(text, "f.cfg");
    } catch (const ConfigError& error) {
        return error.what();
    }
    return "";
}

Strings warnings(std::string_view text) {
    return unknown_keys(parse_ini(text, "f"), "f");
}

}  // namespace

TEST_CASE("the configuration of the seed texts loads unchanged") {
    const auto text =
        "[master]\nsocket_port = 31415\nsocket_bind_ip =\n\n"
        "[slave]\nsocket_port = 31416\nmaster_ip = 192.168.1.30\n\n"
        "[webserver]\nwebserver_host = 0.0.0.0\nwebserver_port = 5000\n"s;
    const auto master = load(Program::master, text);
    CHECK(master.port("port") == 31415);
    CHECK(master.text("bind").empty());
    CHECK(master.warnings.empty());
    const auto slave = load(Program::slave, text);
    CHECK(slave.port("socket_port") == 31416);
    CHECK(slave.list("master") == Strings{"192.168.1.30"});
    CHECK(slave.text("web-bind") == "0.0.0.0");
    CHECK(slave.port("web-port") == 5000);
    CHECK(slave.warnings.empty());
    CHECK(load(Program::client, text).warnings.empty());
}

TEST_CASE("ways to write a configuration file") {
    CHECK(listed("[a]\nx = 1\ny: 2\nz=3=4:5\nu:v=w\n") ==
          "a/x=1@2\na/y=2@3\na/z=3=4:5@4\na/u=v=w@5\n");
    CHECK(listed("; c\n# c\n  # c\n[a]\n;x = 1\n#y: 2\nx = # kept ; too\n") ==
          "a/x=# kept ; too@7\n");
    CHECK(listed("\xEF\xBB\xBF[a]\r\nx = 1\r\n\r\ny = 2") == "a/x=1@2\na/y=2@4\n");
    CHECK(listed("[ A ]\n  X =  two words\t\n[b]\nempty =\n[A]\nx=3") ==
          "a/x=two words@2\nb/empty=@4\na/x=3@6\n");
    CHECK(listed("").empty());
    CHECK(listed("\xEF\xBB\xBF").empty());
    CHECK(listed("\n\n[only a section]\n").empty());
    CHECK(listed("[a]\nx = [b]\n= 3\n") == "a/x=[b]@2\na/=3@3\n");
}

TEST_CASE("what is no configuration file names the line") {
    CHECK(complaint("[a]\nx\n") == "f.cfg line 2: expected \"key = value\"");
    CHECK(complaint("\r\n[a\r\n") == "f.cfg line 2: a section is written [name]");
    CHECK(complaint("[a] b\n") == "f.cfg line 1: a section is written [name]");
    CHECK(complaint("# c\nx = 1\n[a]\n") ==
          "f.cfg line 2: expected a [section] before the first key");
    CHECK(complaint("[]\nx = 1\n") == "f.cfg line 2: expected a [section] before the first key");
    CHECK(complaint("[\n") == "f.cfg line 1: a section is written [name]");
    CHECK(complaint(std::string(1000, '\0')) == "f.cfg line 1: expected \"key = value\"");
}

TEST_CASE("of keys that are given twice the last counts") {
    const auto slave = load(Program::slave,
                            "[slave]\nrole = basic\nmaster_ip = a\n[slave]\nrole: webserver\n"
                            "master_ip = b, c\n");
    CHECK(slave.text("role") == "webserver");
    CHECK(slave.list("master") == Strings{"b", "c"});
}

TEST_CASE("a section or a file may be missing") {
    CHECK(load(Program::slave, "[master]\nsocket_port = 7\n").port("socket_port") == 12345);
    CHECK(load(Program::master, "").port("port") == 12345);
    const auto none = load_settings(
        Program::master, {}, [](const std::string&) { return nullptr; },
        [](const std::string&) { return std::nullopt; });
    CHECK(none.port("port") == 12345);
    // Only one that was asked for must be there.
    const auto chosen = [] {
        load_settings(
            Program::master, {"--config", "/there/is/none"},
            [](const std::string&) { return nullptr; },
            [](const std::string&) { return std::nullopt; });
    };
    CHECK_THROWS_WITH(chosen(),
                      "cannot find the configuration file /there/is/none given with "
                      "--config");
}

TEST_CASE("the file that is read is the one of --config") {
    Strings asked;
    load_settings(
        Program::master, {"--config=a", "--config", "b"},
        [](const std::string&) { return nullptr; },
        [&](const std::string& path) {
            asked.push_back(path);
            return "";
        });
    load_settings(
        Program::master, {}, [](const std::string&) { return nullptr; },
        [&](const std::string& path) {
            asked.push_back(path);
            return "";
        });
    // One on the boot partition is enough.
    CHECK(asked == Strings{"b", "/boot/firmware/rpicluster.cfg", "/etc/rpicluster/rpicluster.cfg"});
}

TEST_CASE("a card that was prepared on a PC") {
    std::map<std::string, std::string> files;
    std::map<std::string, std::string> environment;
    Strings arguments;
    const auto load_all = [&] {
        return load_settings(
            Program::slave, arguments,
            [&](const std::string& name) {
                const auto found = environment.find(name);
                return found == environment.end() ? nullptr : found->second.c_str();
            },
            [&](const std::string& path) {
                const auto found = files.find(path);
                return found == files.end() ? std::nullopt : std::optional(found->second);
            });
    };
    // As an editor of a PC leaves it.
    files["/boot/firmware/rpicluster.cfg"] =
        "\xEF\xBB\xBF; for the attic\r\n[slave]\r\njoin_key = 7KQ2M-ABCDE\r\nname: attic\r\n";
    CHECK(load_all().text("join_key") == "7KQ2M-ABCDE");
    CHECK(load_all().text("name") == "attic");
    SECTION("the file of the system wins, the environment over that, a flag over all") {
        files["/etc/rpicluster/rpicluster.cfg"] = "[slave]\nname = system\n";
        CHECK(load_all().text("name") == "system");
        CHECK(load_all().text("join_key") == "7KQ2M-ABCDE");
        environment["RPICLUSTER_SLAVE_NAME"] = "variable";
        CHECK(load_all().text("name") == "variable");
        arguments = {"--name", "flag"};
        CHECK(load_all().text("name") == "flag");
    }
    SECTION("a file that is named is the only one") {
        files["mine"] = "[slave]\nrole = basic\n";
        arguments = {"--config", "mine"};
        CHECK(load_all().text("name").empty());
        CHECK(load_all().text("role") == "basic");
    }
    SECTION("the first of several places") {
        files["/boot/rpicluster.cfg"] = "[slave]\nname = older\nrole = basic\n";
        CHECK(load_all().text("name") == "attic");
        CHECK(load_all().text("role") == "worker");
    }
    SECTION("an ending that the PC does not show") {
        files["/boot/rpicluster.cfg.txt"] =
            std::exchange(files["/boot/firmware/rpicluster.cfg"], {});
        files.erase("/boot/firmware/rpicluster.cfg");
        CHECK(load_all().text("name") == "attic");
    }
    SECTION("a mistake names its file and line, those of both files") {
        files["/boot/firmware/rpicluster.cfg"] = "[slave]\nheartbeat = often\n";
        CHECK_THROWS_WITH(load_all(), Catch::Contains("/boot/firmware/rpicluster.cfg line 2"));
        files["/boot/firmware/rpicluster.cfg"] = "[slave]\nnam = a\n";
        files["/etc/rpicluster/rpicluster.cfg"] = "[slave]\nrol = b\n";
        CHECK(load_all().warnings.size() == 2);
    }
    SECTION("in an encoding that is none of ours") {
        files["/boot/firmware/rpicluster.cfg"] = std::string("\xFF\xFE[\0s\0", 6);
        CHECK_THROWS_WITH(load_all(),
                          "/boot/firmware/rpicluster.cfg line 1: is UTF-16; save it as UTF-8");
    }
}

TEST_CASE("unknown keys are warnings with the nearest known key") {
    CHECK(warnings("[master]\nsocket_prot = 1\n[slave]\nmaster-ip = a\nquite_different = 1\n") ==
          Strings{"f line 2: unknown key socket_prot in section [master]; did you mean "
                  "socket_port?",
                  "f line 4: unknown key master-ip in section [slave]; did you mean master_ip?",
                  "f line 5: unknown key quite_different in section [slave]"});
    CHECK(warnings("[maste]\nsocket_port = 1\n") ==
          Strings{"f line 2: unknown key socket_port in section [maste]; did you mean [master] "
                  "socket_port?"});
    CHECK(warnings("[slave]\n\x1B[31m = 1\n") ==
          Strings{"f line 2: unknown key ?[31m in section [slave]"});
    std::string many = "[slave]\n";
    for (std::size_t i = 0; i < limits::config_warnings + 5; ++i) many += "x = 1\n";
    CHECK(warnings(many).size() == limits::config_warnings + 1);
    CHECK(warnings(many).back() == "f: 5 more unknown keys");
    CHECK(warnings("[slave]\n= 1\n") == Strings{"f line 2: unknown key  in section [slave]"});
    CHECK(warnings("[master]\nSocket_Port = 1\n").empty());
    const auto settings = load(Program::master, "[master]\nsocket_prot = 1\n");
    CHECK(settings.warnings.size() == 1);
    CHECK(settings.port("port") == 12345);
}

TEST_CASE("the file in etc/ documents every key and loads with each of them enabled") {
    const auto path = std::filesystem::path(RPIC_SOURCE_DIR) / "etc/rpicluster.cfg";
    std::ifstream file(path);
    REQUIRE(file.is_open());
    std::stringstream original;
    original << file.rdbuf();
    std::string enabled;
    std::string line;
    while (std::getline(original, line)) {
        const auto equals = line.find(" =");
        const bool key = line.size() > 1 && line[0] == '#' && equals != std::string::npos &&
                         line.find(' ') == equals;
        enabled += (key ? line.substr(1) : line) + "\n";
    }
    std::set<std::string> documented;
    for (const auto& entry : parse_ini(enabled, "etc").entries) {
        CHECK(documented.insert(entry.section + " " + entry.key).second);
        // What the file shows is the default.
        for (const auto& setting : all_settings())
            if (entry.section == setting.section && entry.key == setting.key)
                CHECK(entry.value == setting.default_value);
    }
    for (const auto program : {Program::master, Program::slave, Program::client}) {
        CHECK(load(program, original.str()).warnings.empty());
        CHECK(load(program, enabled).warnings.empty());
    }
    // --ensure, --health, --restore and --rejoin are for one start, not for a file.
    for (const auto& setting : all_settings())
        if (setting.key != "ensure"s && setting.key != "health"s && setting.key != "rejoin"s &&
            setting.key != "restore"s) {
            INFO(setting.section << " " << setting.key);
            CHECK(documented.contains(setting.section + " "s + setting.key));
        }
}
