#include "cli/output.hpp"

#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdio>
#include <string>

using namespace rpic;

namespace {

/// What `print` writes to standard output.
template <class Function>
std::string printed(Function print) {
    std::FILE* file = std::tmpfile();
    REQUIRE(file != nullptr);
    std::fflush(stdout);
    const int before = ::dup(1);
    ::dup2(::fileno(file), 1);
    print();
    std::fflush(stdout);
    ::dup2(before, 1);
    ::close(before);
    std::string text(static_cast<std::size_t>(std::ftell(file)), '\0');
    std::rewind(file);
    CHECK(std::fread(text.data(), 1, text.size(), file) == text.size());
    std::fclose(file);
    return text;
}

}  // namespace

TEST_CASE("columns are as wide as their widest cell, the last one is not padded") {
    Table table({"NAME", "STATE", "CPU"});
    table.add({{"pi"}, {"online"}, {"Cortex-A72"}});
    table.add({{"a-long-name"}, {""}, {""}});
    CHECK(printed([&] { table.print(); }) ==
          "NAME         STATE   CPU\n"
          "pi           online  Cortex-A72\n"
          "a-long-name          \n");
}

TEST_CASE("columns count characters, not bytes") {
    Table table({"A", "B"});
    table.add({{"\u00FC\u20AC\U0001F353"}, {"x"}});
    table.add({{"abc"}, {"y"}});
    CHECK(printed([&] { table.print(); }) == "A    B\n\u00FC\u20AC\U0001F353  x\nabc  y\n");
}

TEST_CASE("a table without rows is its header, and short rows are fine") {
    CHECK(printed([] { Table({"A", "B"}).print(); }) == "A  B\n");
    Table table({"A", "B"});
    table.add({{"x"}});
    table.add({{"x"}, {"y"}, {"z"}});
    CHECK(printed([&] { table.print(); }) == "A  B\nx\nx  y  z\n");
}

TEST_CASE("output that is no terminal has no colours") {
    Table table({"A"});
    table.add({{"lost", Colour::bad}});
    CHECK(printed([&] { table.print(); }) == "A\nlost\n");
}

TEST_CASE("output for machines is one value that begins with its version") {
    json::object value;
    value["nodes"] = json::array{1, "\n"};
    value["a"] = nullptr;
    CHECK(printed([&] { print_json(value); }) ==
          "{\"version\":1,\"nodes\":[1,\"\\n\"],\"a\":null}\n");
    CHECK(printed([] { print_json({}); }) == "{\"version\":1}\n");
    CHECK(printed([&] { print_json_line(value); }) == "{\"nodes\":[1,\"\\n\"],\"a\":null}\n");
}
