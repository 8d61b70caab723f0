#include "common/selector.hpp"

#include <catch2/catch.hpp>
#include <random>
#include <set>

#include "common/natural_order.hpp"

using rpic::choose_nodes;
using rpic::fold_node_names;
using rpic::NodeSet;
using rpic::NumberSelector;
using rpic::SyntaxError;
using Names = std::vector<std::string>;
using Ranges = std::vector<NumberSelector::Range>;

TEST_CASE("selector: numbers and ranges", "[selector]") {
    const auto some = NumberSelector::parse("9,1, 3,5-8,2");
    CHECK(some.ranges() == Ranges{{1, 3}, {5, 9}});
    for (const int n : {1, 2, 3, 5, 9}) CHECK(some.contains(n));
    for (const int n : {0, 4, 10}) CHECK_FALSE(some.contains(n));
    CHECK_FALSE(some.all());
    CHECK_FALSE(some.last());
    CHECK(some.single() == -1);

    CHECK(NumberSelector::parse("17").single() == 17);
    CHECK(NumberSelector::parse("all").all());
    CHECK(NumberSelector::parse("").all());
    CHECK(NumberSelector::parse("3,all").contains(99));
    CHECK(NumberSelector::parse("last").last());
    CHECK_FALSE(NumberSelector::parse("last").contains(1));
    CHECK(NumberSelector::parse("3,last").contains(3));
    CHECK(NumberSelector::parse("0-1000000000000").contains(5));
}

TEST_CASE("selector: refuses what chooses nothing", "[selector]") {
    for (const auto* text : {"x", "1-", "-1", "5-3", "1--2", "1-2-3", "1.5", "last1", "0x1",
                             "1000000000001", "99999999999999999999"}) {
        CAPTURE(text);
        CHECK_THROWS_AS(NumberSelector::parse(text), SyntaxError);
    }
    std::string many = "1";
    for (int i = 1; i < 5000; ++i) many += ",1";
    CHECK_THROWS_AS(NumberSelector::parse(many), SyntaxError);
}

TEST_CASE("node sets: brackets", "[selector]") {
    CHECK(NodeSet::parse("pi[1-4],web").names == Names{"pi1", "pi2", "pi3", "pi4", "web"});
    CHECK(NodeSet::parse("pi[08-11]").names == Names{"pi08", "pi09", "pi10", "pi11"});
    CHECK(NodeSet::parse("pi[8-10]").names == Names{"pi8", "pi9", "pi10"});
    CHECK(NodeSet::parse("r[1-2]n[1,3]x").names == Names{"r1n1x", "r1n3x", "r2n1x", "r2n3x"});
    CHECK(NodeSet::parse("a, a ,b,").names == Names{"a", "b"});
    CHECK(NodeSet::parse("all").all);
    CHECK(NodeSet::parse("").names.empty());
    CHECK_FALSE(NodeSet::parse("").all);
}

TEST_CASE("node sets: what is wrong is said", "[selector]") {
    for (const auto* text :
         {"pi[1-4", "pi]1", "pi[]", "pi[a-b]", "pi[4-1]", "pi[1-99999]", "pi[1-200]n[1-200]",
          "p[0000000000000000001]", "[0-1000000000000]", "a[1-3]b]"}) {
        CAPTURE(text);
        CHECK_THROWS_AS(NodeSet::parse(text), SyntaxError);
    }
    CHECK_THROWS_AS(NodeSet::parse(std::string(64, 'a')), SyntaxError);
    CHECK_THROWS_AS(NodeSet::parse("pi[1-20000]" + std::string(100'000, 'a')), SyntaxError);
    CHECK_THROWS_AS(NodeSet::parse("pi[1-20000],web"), SyntaxError);
}

TEST_CASE("node sets: choose among what is there", "[selector]") {
    const Names known = {"web", "pi1", "pi2", "pi3"};
    auto choice = choose_nodes(NodeSet::parse("pi[2-4],web"), NodeSet::parse("web,other"), known);
    CHECK(choice.names == Names{"pi2", "pi3"});
    CHECK(choice.unknown == Names{"pi4"});
    choice = choose_nodes(NodeSet::parse("all"), NodeSet::parse("pi[1-2]"), known);
    CHECK(choice.names == Names{"web", "pi3"});
    CHECK(choice.unknown.empty());
    CHECK(choose_nodes(NodeSet::parse("all"), NodeSet::parse("all"), known).names.empty());
}

TEST_CASE("node sets: fold names", "[selector]") {
    CHECK(fold_node_names({"pi4", "pi1", "web", "pi3", "pi2"}) == "pi[1-4],web");
    CHECK(fold_node_names({"pi10", "pi9", "pi1"}) == "pi[1,9,10]");
    CHECK(fold_node_names({"pi08", "pi09", "pi10", "pi11"}) == "pi[08-11]");
    CHECK(fold_node_names({"pi1", "pi01"}) == "pi01,pi1");
    CHECK(fold_node_names({"a1x", "a2x", "a3x", "b"}) == "a[1-3]x,b");
    CHECK(fold_node_names({"r1n1", "r1n2", "r2n1"}) == "r1n[1,2],r2n1");
    CHECK(fold_node_names({"solo"}) == "solo");
    CHECK(fold_node_names({"n00000000000000000001"}) == "n00000000000000000001");
    CHECK(fold_node_names({}).empty());
}

TEST_CASE("node sets: folded names are the same names", "[selector]") {
    std::mt19937 random(3);
    for (int round = 0; round < 300; ++round) {
        std::set<std::string> names;
        for (int i = 0; i < 12; ++i) {
            const auto number = std::to_string(random() % 120);
            const char* before[] = {"pi", "pi0", "r1n", "", "x-"};
            const char* after[] = {"", "", "b", "-1"};
            names.insert(before[random() % 5] + number + after[random() % 4]);
        }
        const auto folded = fold_node_names({names.begin(), names.end()});
        CAPTURE(folded);
        const auto back = NodeSet::parse(folded).names;
        CHECK(std::set<std::string>(back.begin(), back.end()) == names);
        CHECK(back.size() == names.size());
    }
}

TEST_CASE("natural order", "[selector]") {
    using rpic::natural_compare;
    const Names ascending = {"", "a", "a1", "a1b", "a02", "a2", "a10", "a10.1", "aa", "b"};
    for (std::size_t i = 0; i < ascending.size(); ++i)
        for (std::size_t j = 0; j < ascending.size(); ++j) {
            CAPTURE(ascending[i], ascending[j]);
            const int expected = i < j ? -1 : i > j ? 1 : 0;
            CHECK(natural_compare(ascending[i], ascending[j]) == expected);
        }
    CHECK(natural_compare("99999999999999999999999", "100000000000000000000000") < 0);
}
