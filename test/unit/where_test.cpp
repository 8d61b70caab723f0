#include "common/where.hpp"

#include <catch2/catch.hpp>
#include <random>

#include "common/limits.hpp"

using rpic::Where;
using rpic::WhereError;
using rpic::WhereFacts;

namespace {

const std::map<std::string, std::string> labels = {
    {"room", "living room"}, {"disk", "ssd"}, {"hot", "no"},  {"slow", "0"},
    {"rack", "7"},           {"empty", ""},   {"os", "mine"}, {"5g", "yes"}};
const std::map<std::string, std::int64_t> resources = {{"gpu", 2}, {"camera", 0}, {"disk", 9}};

WhereFacts pi() {
    WhereFacts facts;
    facts.name = "pi4";
    facts.hostname = "raspberrypi";
    facts.role = "worker";
    facts.version = "0.10.0";
    facts.arch = "arm64";
    facts.kernel_arch = "aarch64";
    facts.os = "Debian GNU/Linux 12";
    facts.kernel = "6.10.3-rpi7";
    facts.cpu = "Cortex-A72";
    facts.cpu_cores = 4;
    facts.cpus = 3;
    facts.ram_bytes = std::int64_t{2} << 30;
    facts.memory_bytes = std::int64_t{1} << 30;
    facts.temperature_c = 61.5;
    facts.load_1m = 0.25;
    facts.labels = &labels;
    facts.resources = &resources;
    return facts;
}

bool met(const char* text) {
    return Where::parse(text).matches(pi());
}

std::string why(const char* text) {
    return Where::parse(text).explain_mismatch(pi());
}

std::string where_error(const std::string& text) {
    try {
        Where::parse(text);
    } catch (const WhereError& e) {
        return e.what();
    }
    return "";
}

std::string many_times(const std::string& text, int times) {
    std::string result;
    for (int i = 0; i < times; ++i) result += text;
    return result;
}

}  // namespace

TEST_CASE("where: facts are compared as text or as numbers", "[where]") {
    CHECK(met(""));
    CHECK(met("  \t"));
    CHECK(met("arch==arm64"));
    CHECK_FALSE(met("arch==arm"));
    CHECK_FALSE(met("arch == ARM64"));
    CHECK(met("arch != amd64"));
    CHECK(met("arch==arm64 && ram>=2G"));
    CHECK_FALSE(met("ram>2G"));
    CHECK(met("ram<=2048MiB"));
    CHECK(met("ram_bytes==2147483648"));
    CHECK(met("memory<1.5G"));
    CHECK(met("memory_bytes==1G"));
    CHECK(met("cores==4 && cpu_cores==4.0 && cpus==3"));
    CHECK(met("temperature<70 && temperature_c>61 && load<1 && load_1m==0.25"));
    CHECK(met("temperature > -40"));
    CHECK(met("os=='mine'"));  // a label comes before a fact
    CHECK(met("cpu=='Cortex-A72' && kernel_arch==aarch64 && hostname==raspberrypi"));
    CHECK(met("name==pi4 && role==worker"));
    CHECK(met("room==\"living room\""));
    CHECK(met("gpu>=2"));
    CHECK(met("disk==ssd"));  // a label comes before a resource
    CHECK_FALSE(met("gpu==two"));
}

TEST_CASE("where: digits in texts count by their value", "[where]") {
    CHECK(met("kernel>6.9"));
    CHECK(met("kernel<6.11"));
    CHECK(met("version>=0.9.5"));
    CHECK(met("name<pi10"));
    CHECK_FALSE(met("version<0.9.5"));
}

TEST_CASE("where: a missing name is the empty text", "[where]") {
    CHECK(met("nothing==''"));
    CHECK_FALSE(met("nothing"));
    CHECK_FALSE(met("nothing==0"));
    CHECK(met("nothing!=x"));
    CHECK_FALSE(met("cpu_percent>0"));  // not measured
    CHECK(met("cpu_percent<50"));
}

TEST_CASE("where: a name alone is true if it is set", "[where]") {
    CHECK(met("room"));
    CHECK(met("gpu"));
    CHECK(met("rack"));
    CHECK(met("5g"));
    CHECK(met("'5g'==yes"));
    for (const auto* name : {"hot", "slow", "empty", "camera", "missing"}) {
        CAPTURE(name);
        CHECK_FALSE(met(name));
    }
}

TEST_CASE("where: && binds tighter than ||, ! tighter than both", "[where]") {
    CHECK(met("room || hot && hot"));
    CHECK_FALSE(met("(room || hot) && hot"));
    CHECK(met("!hot && room"));
    CHECK_FALSE(met("!(hot || room)"));
    CHECK(met("!!room"));
    CHECK(met("hot || slow || (rack == 7 && !empty)"));
    CHECK_FALSE(met("room && rack && hot"));
    CHECK(met("!room || !hot"));
    CHECK(met("!rack==8"));  // the whole comparison is negated
}

TEST_CASE("where: says what is not met", "[where]") {
    CHECK(why("arch==arm64") == "");
    CHECK(why("arch==amd64") == "arch is arm64, not amd64");
    CHECK(why("room && ram>=4G && arch==x") == "ram is 2.0G, less than 4G");
    CHECK(why("ram>2G") == "ram is 2.0G, not more than 2G");
    CHECK(why("temperature<=50") == "temperature is 61.5, more than 50");
    CHECK(why("temperature<50") == "temperature is 61.5, not less than 50");
    CHECK(why("arch!=arm64") == "arch is arm64, which is excluded");
    CHECK(why("camera2") == "camera2 is not set");
    CHECK(why("hot") == "hot is no, which counts as not set");
    CHECK(why("zone==a") == "zone is not set, not a");
    CHECK(why("!room") == "room is living room, and must not be set");
    CHECK(why("!( arch==arm64 )") == "arch==arm64 is true, and must not be");
    CHECK(why("!(arch==arm64 && room)") == "arch==arm64 && room is true, and must not be");
    CHECK(why("arch==amd64 || (room && ram>=4G)") ==
          "arch is arm64, not amd64, and ram is 2.0G, less than 4G");
    CHECK(why(many_times("a==b||", 100).append("c").c_str()).size() <= 260);
}

TEST_CASE("where: errors name the column and what is expected", "[where]") {
    CHECK(where_error("arch=arm64") == "column 5: a single = compares nothing: write ==");
    CHECK(where_error("a & b") == "column 3: a single & means nothing: write &&");
    CHECK(where_error("a | b") == "column 3: a single | means nothing: write ||");
    CHECK(where_error("arch==") ==
          "column 7: expected a value to compare with, the expression ends here");
    CHECK(where_error("a and b") ==
          "column 3: expected &&, || or the end, found and (\"and\" is written &&)");
    CHECK(where_error("(a") == "column 3: expected &&, || or ), the expression ends here");
    CHECK(where_error("a)") == "column 2: expected &&, || or the end, found )");
    CHECK(where_error("()") == "column 2: expected the name of a label or fact, ! or (, found )");
    CHECK(where_error("a &&") ==
          "column 5: expected the name of a label or fact, ! or (, the expression ends here");
    CHECK(where_error("a==\"b") == "column 4: this quote is never closed: expected another \"");
    CHECK(where_error("2G<=ram") ==
          "column 1: expected a name on the left, found the number 2G: write NAME first, as in "
          "ram>=2G");
    CHECK(where_error("1<a<3").substr(0, 9) == "column 1:");
    CHECK(where_error("a<b<c") == "column 4: expected &&, || or the end, found <");
    CHECK(where_error("a\n&&\x01\x02 ==\n").find('\x01') == std::string::npos);
}

TEST_CASE("where: limits", "[where]") {
    const auto chars = rpic::limits::where_chars;
    CHECK_NOTHROW(Where::parse(std::string(chars, 'a')));
    CHECK(where_error(std::string(chars + 1, 'a')).find("longer than 2048") != std::string::npos);
    const int depth = rpic::limits::where_depth;
    CHECK_NOTHROW(Where::parse(many_times("(", depth) + "a" + many_times(")", depth)));
    CHECK(
        where_error(many_times("(", depth + 1) + "a" + many_times(")", depth + 1)).find("levels") !=
        std::string::npos);
    CHECK_NOTHROW(Where::parse(many_times("!", depth) + "a"));
    CHECK(where_error(many_times("!", depth + 1) + "a").find("levels") != std::string::npos);
    CHECK(where_error(many_times("(", static_cast<int>(chars))).find("levels") !=
          std::string::npos);
    CHECK(met((many_times("a||", 600) + "room").c_str()));  // a long row is not deep
}

TEST_CASE("where: knows whether vitals matter", "[where]") {
    CHECK_FALSE(Where::parse("arch==arm64 && gpu").asks_vitals());
    CHECK(Where::parse("arch==arm64 && !(temperature>70)").asks_vitals());
    CHECK(Where::parse("load<1").asks_vitals());
    CHECK(Where::parse("cpu_percent").asks_vitals());
    CHECK(Where().matches(pi()));
    CHECK(Where().empty());
    CHECK(Where::parse(" arch == x ").text() == " arch == x ");
}

TEST_CASE("where: any text gives an expression or a WhereError", "[where]") {
    std::mt19937 random(7);
    const std::string alphabet = "ab2G =!<>&|()'\"-.\n\xC3\x80";
    for (int i = 0; i < 20000; ++i) {
        std::string text(random() % 24, ' ');
        for (char& c : text) c = alphabet[random() % alphabet.size()];
        CAPTURE(text);
        try {
            const auto where = Where::parse(text);
            const bool matches = where.matches(pi());
            CHECK(matches == where.explain_mismatch(pi()).empty());
        } catch (const WhereError& e) {
            CHECK(e.column() <= text.size() + 1);
            CHECK(e.column() >= 1);
        }
    }
}
