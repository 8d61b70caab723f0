#include "common/settings.hpp"

#include <catch2/catch.hpp>
#include <map>
#include <string>
#include <vector>

#include "common/errors.hpp"

using namespace rpic;
using namespace std::chrono_literals;
using namespace std::string_literals;

namespace {

using Strings = std::vector<std::string>;

/// A command line, an environment and a file; load() reads them as a program would.
struct Surroundings {
    Program program = Program::slave;
    Strings arguments;
    std::map<std::string, std::string> environment;
    std::optional<std::string> file;
    std::string path = default_config_file;

    Settings load() const {
        return load_settings(
            program, arguments,
            [this](const std::string& name) {
                const auto found = environment.find(name);
                return found == environment.end() ? nullptr : found->second.c_str();
            },
            [this](const std::string& name) {
                return name == path ? file : std::optional<std::string>{};
            });
    }

    std::string complaint() const {
        try {
            load();
        } catch (const ConfigError& error) {
            return error.what();
        }
        return "";
    }
};

Settings from_flags(Program program, Strings arguments) {
    return Surroundings{program, std::move(arguments), {}, {}}.load();
}

std::string flag_complaint(Program program, Strings arguments) {
    return Surroundings{program, std::move(arguments), {}, {}}.complaint();
}

}  // namespace

TEST_CASE("defaults") {
    const auto master = from_flags(Program::master, {});
    CHECK(master.port("port") == 12345);
    CHECK(master.text("bind").empty());
    CHECK_FALSE(master.toggle("plain"));
    CHECK(master.text("log-level") == "info");
    const auto slave = from_flags(Program::slave, {});
    CHECK(slave.list("master").empty());
    CHECK(slave.port("socket_port") == 12345);
    CHECK(slave.text("role") == "worker");
    CHECK(slave.duration("heartbeat") == 5s);
    CHECK(slave.duration("reconnect-max") == 60s);
    CHECK_FALSE(slave.count("cpus").has_value());
    CHECK_FALSE(slave.size("memory").has_value());
    CHECK(slave.text("web-bind") == "127.0.0.1");
    CHECK(slave.port("web-port") == 8123);
    CHECK(slave.arguments.empty());
    CHECK(slave.warnings.empty());
    // What is asked for under a name that does not exist is unset, not a crash.
    CHECK(slave.text("no such").empty());
    CHECK(slave.port("no such") == 0);
}

TEST_CASE("flag before environment before file before default, for every kind") {
    struct Case {
        Program program;
        std::string section, key, flag;
        Strings values;  // by flag, environment, file
    };
    const std::vector<Case> cases = {
        {Program::master, "master", "socket_bind_ip", "bind", {"1.1.1.1", "2.2.2.2", "::3"}},
        {Program::master, "master", "socket_port", "port", {"1", "2", "3"}},
        {Program::slave, "slave", "role", "role", {"basic", "webserver", "worker"}},
        {Program::slave, "slave", "cpus", "cpus", {"1", "2", "3"}},
        {Program::slave, "slave", "memory", "memory", {"1K", "2K", "3K"}},
        {Program::slave, "slave", "heartbeat", "heartbeat", {"1", "2s", "300ms"}},
        {Program::slave, "webserver", "webserver_port", "web-port", {"1", "2", "3"}},
        {Program::slave, "slave", "master_ip", "master", {"a", "b", "c"}},
        {Program::client, "client", "master", "master", {"a", "b", "c"}},
    };
    for (const auto& test : cases) {
        INFO(test.flag);
        std::string variable = "RPICLUSTER_" + test.section + "_" + test.key;
        for (char& c : variable) c = static_cast<char>(std::toupper(c));
        Surroundings given{test.program, {}, {}, {}};
        const auto without = given.load().text(test.flag);
        given.file = "[" + test.section + "]\n" + test.key + " = " + test.values[2] + "\n";
        CHECK(given.load().text(test.flag) == test.values[2]);
        given.environment[variable] = test.values[1];
        CHECK(given.load().text(test.flag) == test.values[1]);
        given.arguments = {"--" + test.flag, test.values[0]};
        CHECK(given.load().list(test.flag) == Strings{test.values[0]});
        given.arguments = {"--" + test.flag + "=" + test.values[0]};
        CHECK(given.load().list(test.flag) == Strings{test.values[0]});
        CHECK(without != test.values[0]);
    }
}

TEST_CASE("switches from all sources") {
    Surroundings given{Program::master, {}, {}, {}};
    given.file = "[master]\nplain = yes\n";
    CHECK(given.load().toggle("plain"));
    given.environment["RPICLUSTER_MASTER_PLAIN"] = "off";
    CHECK_FALSE(given.load().toggle("plain"));
    given.arguments = {"--plain"};
    CHECK(given.load().toggle("plain"));
    given.arguments = {"--plain=no"};
    CHECK_FALSE(given.load().toggle("plain"));
    // A switch takes no value from the next argument.
    given.arguments = {"--plain", "no"};
    CHECK(given.load().toggle("plain"));
    CHECK(given.load().arguments == Strings{"no"});
}

TEST_CASE("a scalar flag given twice: the last wins; the repeating ones collect") {
    const auto slave = from_flags(
        Program::slave, {"--role", "basic", "--master", "a:1", "--label", "x=1", "--role=worker",
                         "--master=b", "--label", "y=2,z", "--cpus", "3", "--cpus", "4"});
    CHECK(slave.list("role") == Strings{"worker"});
    CHECK(slave.count("cpus") == 4);
    CHECK(slave.list("master") == Strings{"a:1", "b"});
    CHECK(slave.list("label") == Strings{"x=1", "y=2,z"});  // a comma belongs to the value here
    const auto client = from_flags(Program::client, {"--master", "a", "--master", "b"});
    CHECK(client.list("master") == Strings{"b"});
}

TEST_CASE("a variable that is no setting is warned about, with the one that may be meant") {
    CHECK(unknown_variable("PATH=/bin").empty());
    CHECK(unknown_variable("RPICLUSTER_SLAVE_MASTER_IP=pi").empty());
    CHECK(unknown_variable("RPICLUSTER_CLIENT_MASTER").empty());
    CHECK(unknown_variable("RPICLUSTER_SLAVE_MASTERIP=pi") ==
          "unknown environment variable RPICLUSTER_SLAVE_MASTERIP; did you mean "
          "RPICLUSTER_SLAVE_MASTER_IP?");
    CHECK(unknown_variable("RPICLUSTER_X=\x1B[2J")
              .starts_with("unknown environment variable RPICLUSTER_X; settings are"));
    CHECK(unknown_variable("RPICLUSTER_\x1B[2J=").find('\x1B') == std::string::npos);
}

TEST_CASE("lists in file and environment are separated by commas") {
    Surroundings given;
    given.file = "[slave]\nmaster_ip = a, b:7 ,,c\n[webserver]\nallowed_hosts: pi.example,\n";
    CHECK(given.load().list("master") == Strings{"a", "b:7", "c"});
    CHECK(given.load().list("allowed_hosts") == Strings{"pi.example"});
    given.environment["RPICLUSTER_SLAVE_MASTER_IP"] = "d";
    CHECK(given.load().list("master") == Strings{"d"});
    given.arguments = {"--master", "e"};
    CHECK(given.load().list("master") == Strings{"e"});
}

TEST_CASE("a value may hold equals signs and be empty on the command line") {
    CHECK(from_flags(Program::slave, {"--label=a=b=c"}).list("label") == Strings{"a=b=c"});
    CHECK(from_flags(Program::master, {"--bind="}).text("bind").empty());
    CHECK(from_flags(Program::master, {"--bind", ""}).text("bind").empty());
    CHECK(flag_complaint(Program::master, {"--port="}) ==
          "bad value \"\" for --port: expected a port from 0 to 65535");
}

TEST_CASE("bad values name themselves, their origin and what is expected") {
    const auto bad = [](const std::string& flag, const std::string& value) {
        const bool of_master = flag == "port";
        return flag_complaint(of_master ? Program::master : Program::slave, {"--" + flag, value});
    };
    for (const auto* port : {"65536", "-1", "", "80x", "0x50", "1.0", "99999999999999999999", " 1"})
        CHECK(bad("port", port) ==
              "bad value \""s + port + "\" for --port: expected a port from 0 to 65535");
    CHECK(bad("port", "0").empty());
    CHECK(bad("port", "65535").empty());
    for (const auto* count : {"0", "-1", "1000001", "two", "1.5", ""})
        CHECK(bad("cpus", count) ==
              "bad value \""s + count + "\" for --cpus: expected a number from 1 up");
    CHECK(bad("memory", "much") ==
          "bad value \"much\" for --memory: expected a size such as 512M or 1.5G");
    CHECK(bad("heartbeat", "5x") ==
          "bad value \"5x\" for --heartbeat: expected a duration such as 5, 500ms, 2m or 1h");
    CHECK(bad("role", "boss") ==
          "bad value \"boss\" for --role: expected one of worker|basic|webserver");
    CHECK(bad("role", "worker|basic") != "");
    CHECK(bad("log-level", "INFO") ==
          "bad value \"INFO\" for --log-level: expected one of debug|info|warning|error");
    CHECK(flag_complaint(Program::slave, {"--plain=maybe"}) ==
          "bad value \"maybe\" for --plain: expected yes or no");
    Surroundings given;
    given.environment["RPICLUSTER_SLAVE_CPUS"] = "none\n\x1B[2J";
    CHECK(given.complaint() ==
          "bad value \"none??[2J\" for RPICLUSTER_SLAVE_CPUS: expected a number from 1 up");
    given.environment.clear();
    given.file = "[slave]\n\ncpus: none\ncpus: 3\n";
    CHECK(given.complaint() ==
          "bad value \"none\" for cpus (/etc/rpicluster/rpicluster.cfg line 3): expected a number "
          "from 1 up");
}

TEST_CASE("an empty key in the file or an empty variable is as good as none") {
    Surroundings given;
    given.file =
        "[slave]\nrole =\nsocket_port =\ncpus =\nheartbeat =\nplain =\nlog_level:\nmaster_ip =\n"
        "[webserver]\nwebserver_port =\n";
    for (int round = 0; round < 2; ++round) {
        const auto slave = given.load();
        CHECK(slave.text("role") == "worker");
        CHECK(slave.port("socket_port") == 12345);
        CHECK_FALSE(slave.count("cpus").has_value());
        CHECK(slave.duration("heartbeat") == 5s);
        CHECK_FALSE(slave.toggle("plain"));
        CHECK(slave.text("log-level") == "info");
        CHECK(slave.list("master").empty());
        CHECK(slave.port("web-port") == 8123);
        given.file.reset();
        for (const auto* key : {"SLAVE_ROLE", "SLAVE_SOCKET_PORT", "SLAVE_CPUS", "SLAVE_HEARTBEAT",
                                "SLAVE_PLAIN", "SLAVE_LOG_LEVEL", "WEBSERVER_WEBSERVER_PORT"})
            given.environment["RPICLUSTER_"s + key] = "";
    }
}

TEST_CASE("unknown flags and missing values") {
    CHECK(flag_complaint(Program::master, {"--prot", "1"}) ==
          "unknown option --prot; did you mean --port?");
    CHECK(flag_complaint(Program::master, {"--prot=1"}) ==
          "unknown option --prot; did you mean --port?");
    CHECK(flag_complaint(Program::master, {"--conifg", "x"}) ==
          "unknown option --conifg; did you mean --config?");
    CHECK(flag_complaint(Program::master, {"--quite-something-else"}) ==
          "unknown option --quite-something-else; --help lists the options");
    CHECK(flag_complaint(Program::master, {"--role", "basic"}) != "");  // a slave's
    CHECK(flag_complaint(Program::slave, {"--socket_port", "1"}) != "");
    CHECK(flag_complaint(Program::slave, {"--plain", "--port", "1"}) != "");
    CHECK(flag_complaint(Program::slave, {"--name"}) == "--name needs a value");
    CHECK(flag_complaint(Program::slave, {"--config"}) == "--config needs a value");
}

TEST_CASE("help and version win over everything that is wrong besides") {
    Surroundings given;
    given.file = "[slave]\ncpus = none\nnonsense";
    given.environment["RPICLUSTER_SLAVE_ROLE"] = "boss";
    for (const auto* flag : {"--help", "-h"}) {
        given.arguments = {flag};
        CHECK(given.load().help);
    }
    given.arguments = {"--version"};
    CHECK(given.load().version);
    CHECK_FALSE(given.load().help);
}

TEST_CASE("what is no option is an argument, and all behind a double dash") {
    const auto client = from_flags(
        Program::client, {"one", "--master", "m", "-x", "--", "--master", "--unknown", "-h", "--"});
    CHECK(client.text("master") == "m");
    CHECK(client.arguments == Strings{"one", "-x", "--master", "--unknown", "-h", "--"});
    CHECK_FALSE(client.help);
}

TEST_CASE("--help lists every flag of a program and none of another") {
    const auto help = options_help(Program::master);
    for (const auto& setting : all_settings()) {
        if (*setting.flag == '\0') continue;
        const auto option = "  --"s + setting.flag;
        INFO(option);
        if (setting.program == Program::master) CHECK(help.find(option) != std::string::npos);
    }
    CHECK(help.find("--role") == std::string::npos);
    CHECK(help.find("--config F") != std::string::npos);
    CHECK(help.find("(12345)") != std::string::npos);
}
