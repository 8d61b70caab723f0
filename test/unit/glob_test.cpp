#include "common/glob.hpp"

#include <catch2/catch.hpp>

#include "common/limits.hpp"

using namespace rpic;

TEST_CASE("names fit patterns as in a shell", "[glob]") {
    CHECK(name_matches("*.png", "a.png"));
    CHECK_FALSE(name_matches("*.png", "a.jpg"));
    CHECK_FALSE(name_matches("*.png", ".png"));
    CHECK(name_matches(".*", ".png"));
    CHECK(name_matches("frame-????.ppm", "frame-0042.ppm"));
    CHECK_FALSE(name_matches("frame-????.ppm", "frame-42.ppm"));
    CHECK(name_matches("[a-c]x", "bx"));
    CHECK_FALSE(name_matches("[!a-c]x", "bx"));
    CHECK(name_matches("[]x]", "]"));
    CHECK(name_matches("[a-]", "-"));
    CHECK(name_matches("[a", "[a"));
    CHECK(name_matches("\\*", "*"));
    CHECK_FALSE(name_matches("\\*", "a"));
    CHECK(name_matches("*a*b*c", "xxaxxbxxc"));
    CHECK_FALSE(name_matches("*a*b*c", "xxaxxcxxb"));
    CHECK(name_matches("", ""));
    CHECK_FALSE(name_matches("", "a"));
    CHECK(name_matches("***", "abc"));
}

TEST_CASE("patterns go over folders", "[glob]") {
    CHECK(Globs({"out/*.png"}).matches("out/a.png"));
    CHECK_FALSE(Globs({"*.png"}).matches("out/a.png"));
    CHECK(Globs({"**/*.png"}).matches("a.png"));
    CHECK(Globs({"**/*.png"}).matches("x/y/z/a.png"));
    CHECK_FALSE(Globs({"**/*.png"}).matches("x/.git/a.png"));
    CHECK(Globs({"x/**/y"}).matches("x/y"));
    CHECK(Globs({"x/**/y"}).matches("x/a/b/y"));
    CHECK_FALSE(Globs({"x/**/y"}).matches("x/a/b"));
    CHECK(Globs({"./results/"}).matches("results"));
    CHECK(Globs({"a", "b"}).matches("b"));
    CHECK_FALSE(Globs({}).matches("b"));
}

TEST_CASE("only folders that can hold something are gone into", "[glob]") {
    const Globs globs({"out/*.png"});
    const auto top = globs.begin();
    CHECK_FALSE(top.matched);
    CHECK(globs.down(top, "out").further);
    CHECK_FALSE(globs.down(top, "in").further);
    const Globs all({"**"});
    CHECK(all.begin().matched);
}

TEST_CASE("patterns that take long elsewhere do not here", "[glob]") {
    std::string pattern;
    for (int i = 0; i < 200; ++i) pattern += "*a";
    CHECK_FALSE(name_matches(pattern + "b", std::string(255, 'a')));
    std::string folders, path;
    for (int i = 0; i < 100; ++i) folders += "**/a/";
    for (int i = 0; i < 100; ++i) path += "a/";
    CHECK_FALSE(Globs({folders + "b"}).matches(path));
}

TEST_CASE("patterns that could leave the folder are refused", "[glob]") {
    for (const std::string bad : {"", "/etc/*", "../x", "a/../b", ".", "./"}) {
        CAPTURE(bad);
        CHECK_FALSE(glob_problem(bad).empty());
    }
    CHECK_FALSE(glob_problem(std::string(limits::glob_chars + 1, 'a')).empty());
    for (const std::string good : {"a", "**/*.png", "results/", "..a/b.."}) {
        CAPTURE(good);
        CHECK(glob_problem(good).empty());
    }
}
