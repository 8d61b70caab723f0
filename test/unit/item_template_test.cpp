#include "common/item_template.hpp"

#include <catch2/catch.hpp>
#include <cstdio>

#include "common/shell_quote.hpp"

using rpic::expand_item;
using rpic::has_item_mark;
using rpic::shell_quote;
using rpic::SyntaxError;
using rpic::with_item_mark;
using Words = std::vector<std::string>;

namespace {

std::string value(const std::string& mark, const std::string& item) {
    return expand_item({mark}, false, item, 7)[0];
}

}  // namespace

TEST_CASE("items: marks of a path", "[item]") {
    const std::string item = "dir.d/sub/photo.tar.gz";
    CHECK(value("{}", item) == item);
    CHECK(value("{.}", item) == "dir.d/sub/photo.tar");
    CHECK(value("{/}", item) == "photo.tar.gz");
    CHECK(value("{//}", item) == "dir.d/sub");
    CHECK(value("{/.}", item) == "photo.tar");
    CHECK(value("{#}", item) == "7");
}

TEST_CASE("items: strange paths", "[item]") {
    CHECK(value("{.}", "dir.d/name") == "dir.d/name");
    CHECK(value("{.}", "name.") == "name");
    CHECK(value("{.}", "") == "");
    CHECK(value("{/}", "name") == "name");
    CHECK(value("{/}", "dir/") == "");
    CHECK(value("{//}", "name") == ".");
    CHECK(value("{//}", "/name") == "/");
    CHECK(value("{//}", "/") == "/");
    CHECK(value("{//}", "//") == "/");
    CHECK(value("{//}", "a//b") == "a");
    CHECK(value("{//}", "a/b/") == "a");
    CHECK(value("{//}", "") == ".");
    CHECK(value("{/.}", "a/.hidden") == "");
}

TEST_CASE("items: only marks are replaced", "[item]") {
    const Words command = {"convert", "{}", "-o", "{/.}.png", "{x}", "{", "}", "{{}}", "{}{}", ""};
    CHECK(expand_item(command, false, "a/b.jpg", 1) == Words{"convert", "a/b.jpg", "-o", "b.png",
                                                             "{x}", "{", "}", "{a/b.jpg}",
                                                             "a/b.jpga/b.jpg", ""});
    // What was put in is not looked at again.
    CHECK(value("{}", "{#}") == "{#}");
}

TEST_CASE("items: in a line for sh they are one word", "[item]") {
    CHECK(expand_item({"cp {} {.}.bak"}, true, "a b; rm -rf /.txt", 1) ==
          Words{"cp 'a b; rm -rf /.txt' 'a b; rm -rf /'.bak"});
    CHECK(expand_item({"echo {}"}, true, "it's", 1) == Words{"echo 'it'\\''s'"});
    CHECK(expand_item({"echo {}"}, true, "", 1) == Words{"echo ''"});
    CHECK(expand_item({"echo {}"}, true, "plain.txt", 1) == Words{"echo plain.txt"});
}

TEST_CASE("items: sh reads back what was quoted", "[item]") {
    std::string all;
    for (int c = 1; c < 256; ++c) all += static_cast<char>(c);
    for (const auto& item :
         Words{all, "", "~", "-n", "*", "$(date)", "a\nb\n", "'", "!", "#x", "="}) {
        // printf %s of the quoted word must give the item back, byte for byte.
        const auto command = "printf %s " + shell_quote(item);
        FILE* pipe = ::popen(command.c_str(), "r");
        REQUIRE(pipe != nullptr);
        std::string back;
        for (int c = std::fgetc(pipe); c != EOF; c = std::fgetc(pipe)) back += static_cast<char>(c);
        ::pclose(pipe);
        CHECK(back == item);
    }
    CHECK(rpic::shell_line({"a", "b c", ""}) == "a 'b c' ''");
}

TEST_CASE("items: a command without a mark gets the item at its end", "[item]") {
    CHECK(has_item_mark({"a", "b{/.}"}));
    CHECK_FALSE(has_item_mark({"a", "{x}", "{"}));
    CHECK(with_item_mark({"gzip", "-9"}, false) == Words{"gzip", "-9", "{}"});
    CHECK(with_item_mark({"gzip -9"}, true) == Words{"gzip -9 {}"});
    CHECK(with_item_mark({"gzip {}"}, true) == Words{"gzip {}"});
}

TEST_CASE("items: a command cannot grow without end", "[item]") {
    const Words command(1000, "{}{}");
    CHECK_THROWS_AS(expand_item(command, false, std::string(32 * 1024, 'x'), 1), SyntaxError);
    CHECK(expand_item(command, false, "x", 1)[999] == "xx");
}
