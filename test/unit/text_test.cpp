#include "common/text.hpp"

#include <catch2/catch.hpp>
#include <ctime>
#include <string>

#include "common/limits.hpp"

using namespace rpic;
using namespace std::chrono_literals;
using namespace std::string_literals;

TEST_CASE("printable leaves good text alone") {
    for (const auto& text : {""s, "a b~"s, "Gerät"s, "\u20AC"s, "\U0001F353"s, "\u00A0"s, "\uFFFD"s,
                             "\uE000"s, "\U0010FFFF"s, "\uD7FF"s})
        CHECK(printable(text, 100) == text);
}

TEST_CASE("printable replaces control characters") {
    CHECK(printable("a\nb\rc\td\0e\x1B[31m\x7F"s, 100) == "a?b?c?d?e?[31m?");
    CHECK(printable("\u0080\u009B31m\u009F", 100) == "??31m?");
}

TEST_CASE("printable replaces what turns the direction or breaks the line of the text around it") {
    // Of them one letter each: U+061C, 200E, 200F, 2028 to 202E, 2066 to 2069.
    CHECK(printable("a\u061Cb\u200Ec\u200Fd", 100) == "a?b?c?d");
    CHECK(printable("\u2028\u2029\u202A\u202B\u202C\u202D\u202E", 100) == "???????");
    CHECK(printable("\u2066\u2067\u2068\u2069", 100) == "????");
    // Their neighbours stay.
    for (const auto& text :
         {"\u061B"s, "\u061D"s, "\u200D"s, "\u2010"s, "\u2027"s, "\u202F"s, "\u2065"s, "\u206A"s})
        CHECK(printable(text, 100) == text);
}

TEST_CASE("printable replaces each byte that is not UTF-8") {
    CHECK(printable("\x80\xBF", 100) == "??");
    CHECK(printable("\xC0\xAF\xC1\xBF", 100) == "????");  // overlong
    CHECK(printable("\xE0\x9F\xBF", 100) == "???");
    CHECK(printable("\xF0\x8F\xBF\xBF", 100) == "????");
    CHECK(printable("\xED\xA0\x80", 100) == "???");       // a surrogate
    CHECK(printable("\xF4\x90\x80\x80", 100) == "????");  // above U+10FFFF
    CHECK(printable("\xF5\xFE\xFF", 100) == "???");
    CHECK(printable("\xC3", 100) == "?");  // cut off
    CHECK(printable("\xE2\x82", 100) == "??");
    CHECK(printable("\xF0\x9F\x8D", 100) == "???");
    CHECK(printable("\xC3z\xE2\x82x", 100) == "?z??x");
}

TEST_CASE("printable cuts at a character") {
    CHECK(printable("abcd", 4) == "abcd");
    CHECK(printable("abcde", 4) == "abcd...");
    CHECK(printable("\u20AC\u20AC", 6) == "\u20AC\u20AC");
    CHECK(printable("\u20AC\u20AC", 5) == "\u20AC...");
    CHECK(printable("\u20AC", 2) == "...");
    CHECK(printable("x", 0) == "...");
    CHECK(printable("", 0).empty());
    CHECK(printable(std::string(100'000, '\x1B'), 3) == "???...");
}

TEST_CASE("durations") {
    CHECK(parse_duration("5") == 5s);
    CHECK(parse_duration("0") == 0s);
    CHECK(parse_duration("0.25") == 250ms);
    CHECK(parse_duration("5s") == 5s);
    CHECK(parse_duration("500ms") == 500ms);
    CHECK(parse_duration("2m") == 120s);
    CHECK(parse_duration("1.5h") == 90min);
    CHECK(parse_duration("2d") == 48h);
    CHECK(parse_duration("36525d") == 36525 * 24h);  // a hundred years
    for (const auto* wrong :
         {"",      "s",   "-1",  "-0.5s",    "+1",    "1 s",
          " 1",    "1 ",  "1S",  "1M",       "5min",  "5sec",
          "1e3",   "nan", "inf", "infinity", "0x10",  "1,5",
          "1.5.5", "5 5", "5ss", "36526d",   "1e400", "99999999999999999999999999999999"}) {
        INFO(wrong);
        CHECK_FALSE(parse_duration(wrong).has_value());
    }
    CHECK_FALSE(parse_duration("5\0"s).has_value());
}

TEST_CASE("sizes") {
    CHECK(parse_size("0") == 0);
    CHECK(parse_size("17") == 17);
    CHECK(parse_size("17B") == 17);
    CHECK(parse_size("1K") == 1024);
    CHECK(parse_size("1k") == 1024);
    CHECK(parse_size("1KB") == 1024);
    CHECK(parse_size("1KiB") == 1024);
    CHECK(parse_size("512M") == 512 * 1024 * 1024);
    CHECK(parse_size("1.5G") == 1536LL * 1024 * 1024);
    CHECK(parse_size("2T") == 2LL * 1024 * 1024 * 1024 * 1024);
    CHECK(parse_size("8000000T") == 8'000'000LL * 1024 * 1024 * 1024 * 1024);
    for (const auto* wrong : {"", "K", "-1", "+1", "1 K", "1P", "1KK", "1Bi", "1BB", "1Ki", "1e3",
                              "nan", "inf", "9000000T", "9223372036854775808", "0x10", "1,5G"}) {
        INFO(wrong);
        CHECK_FALSE(parse_size(wrong).has_value());
    }
}

TEST_CASE("switches") {
    for (const auto* word : {"yes", "true", "on", "1", "Yes", "TRUE", "oN"})
        CHECK(parse_bool(word) == true);
    for (const auto* word : {"no", "false", "off", "0", "No", "FALSE"})
        CHECK(parse_bool(word) == false);
    for (const auto* word : {"", "y", "n", "2", "yes ", "enabled"})
        CHECK_FALSE(parse_bool(word).has_value());
}

TEST_CASE("sizes and durations for people") {
    CHECK(format_size(0) == "0");
    CHECK(format_size(1023) == "1023");
    CHECK(format_size(1024) == "1.0K");
    CHECK(format_size(512 * 1024) == "512K");
    CHECK(format_size(3'972'844'748) == "3.7G");
    CHECK(format_size(std::int64_t{1} << 62) == "4194304T");
    CHECK(format_size(-5) == "-5");
    // What rounds up to the next unit is written in it.
    CHECK(format_size(10 * 1024 - 1) == "10K");
    CHECK(format_size(1024 * 1024 - 1) == "1.0M");
    CHECK(format_duration(0) == "0.0s");
    CHECK(format_duration(0.44) == "0.4s");
    CHECK(format_duration(17) == "17s");
    CHECK(format_duration(119) == "119s");
    CHECK(format_duration(180) == "3m");
    CHECK(format_duration(2 * 3600) == "2h");
    CHECK(format_duration(5 * 86400) == "5d");
    CHECK(format_duration(9.96) == "10s");
}

TEST_CASE("the nearest word") {
    const std::vector<std::string> words = {"--master", "--name", "--label", "--log-level"};
    CHECK(nearest("--mastr", words) == "--master");
    CHECK(nearest("--loglevel", words) == "--log-level");
    CHECK(nearest("--label", words) == "--label");
    CHECK(nearest("--quite-different", words).empty());
    CHECK(nearest("", words).empty());
    // A long line of a file is near nothing, which must not take seconds to find out.
    const auto begun = std::clock();
    CHECK(nearest(std::string(64 << 20, 'x'), words).empty());
    CHECK(std::clock() - begun < CLOCKS_PER_SEC / 2);
    CHECK(nearest("x", {}).empty());
    CHECK(nearest(std::string(100'000, 'x'), {"port"}).empty());
}

TEST_CASE("small helpers") {
    CHECK(trim(" \t\r\n a b \v\f") == "a b");
    CHECK(trim(" \r\n").empty());
    CHECK(lower("AbZ\u00C4[@") == "abz\u00C4[@");
    CHECK(split(" a, b c ,,d, ", ',') == std::vector<std::string>{"a", "b c", "d"});
    CHECK(split("", ',').empty());
    CHECK(split(",", ',').empty());
}

TEST_CASE("host and port") {
    const auto parsed = [](std::string_view text) {
        const auto result = parse_host_port(text, 12345);
        return result ? result->host + " " + std::to_string(result->port) : "nothing";
    };
    CHECK(parsed("pi4") == "pi4 12345");
    CHECK(parsed("pi4.local:80") == "pi4.local 80");
    CHECK(parsed("10.0.0.1:65535") == "10.0.0.1 65535");
    CHECK(parsed("::1") == "::1 12345");
    CHECK(parsed("::") == ":: 12345");
    CHECK(parsed("fe80::1%eth0") == "fe80::1%eth0 12345");
    CHECK(parsed("[::1]") == "::1 12345");
    CHECK(parsed("[::1]:80") == "::1 80");
    for (const auto* wrong :
         {"",          ":",      ":80",        "pi4:",     "pi4:0",   "pi4:65536",
          "pi4:-1",    "pi4:+1", "pi4:8a",     "pi4: 80",  "pi4:80 ", "[]",
          "[]:80",     "[::1",   "[::1]80",    "[::1]:",   "[::1]:0", "[::1]:80:90",
          "[::1]x:80", "a b",    "http://pi4", "user@pi4", "pi4\n",   "pi4:99999999999999999999",
          "]:[8::10",  "[a[b]"}) {
        INFO(wrong);
        CHECK(parsed(wrong) == "nothing");
    }
    CHECK(format_host_port("127.0.0.1", 80) == "127.0.0.1:80");
    CHECK(format_host_port("::1", 80) == "[::1]:80");
    for (const auto* text : {"127.0.0.1:80", "[::1]:80", "pi4:1"}) {
        const auto result = parse_host_port(text, 5);
        REQUIRE(result.has_value());
        CHECK(format_host_port(result->host, result->port) == text);
    }
}

TEST_CASE("names fit for a node") {
    CHECK(node_name("pi-4_b.local") == "pi-4_b.local");
    CHECK(node_name("Küche 1!") == "Kche1");
    CHECK(node_name("-._pi") == "pi");
    CHECK(node_name("../etc/passwd") == "etcpasswd");
    CHECK(node_name("\x1B[31m\0x"s) == "31mx");
    CHECK(node_name("").empty());
    CHECK(node_name("-.-").empty());
    CHECK(node_name(std::string(100'000, 'x')) == std::string(limits::name_chars, 'x'));
}
