#include "common/where.hpp"

#include <map>
#include <string>

#include "test/fuzz/targets.hpp"

namespace rpic::fuzz {

namespace {

/// A node on a shelf, and one that tells nothing.
struct Board {
    Board() {
        facts.name = "pi1";
        facts.role = "worker";
        facts.version = "1.10.2";
        facts.arch = "arm64";
        facts.kernel = "6.1.0-rpi7";
        facts.cpu_cores = 4;
        facts.ram_bytes = 2'000'000'000;
        facts.temperature_c = -3.5;
        facts.labels = &labels;
        facts.resources = &resources;
    }
    std::map<std::string, std::string> labels = {
        {"room", "living room"}, {"empty", ""}, {"year", "2024"}, {"ram", "2G"}};
    std::map<std::string, std::int64_t> resources = {{"gpu", 1}, {"huge", INT64_MAX}};
    WhereFacts facts;
};

void judge(const Where& where, const WhereFacts& facts) {
    const bool matches = where.matches(facts);
    expect(matches == where.explain_mismatch(facts).empty(), "a mismatch without reason");
    const auto again = Where::parse(where.text());
    expect(again.matches(facts) == matches, "the same text, another meaning");
    expect(again.asks_vitals() == where.asks_vitals(), "the same text asks something else");
    if (where.text().find('\0') != std::string::npos) return;
    std::string negated;
    try {
        negated = "!(" + where.text() + ")";
        const auto opposite = Where::parse(negated);
        if (!where.empty()) expect(opposite.matches(facts) != matches, "not both, nor neither");
    } catch (const WhereError&) {
        // One more level may be too deep, a few more characters too long.
    }
}

}  // namespace

void fuzz_where(std::string_view input) {
    static const Board board;
    try {
        const auto where = Where::parse(input);
        judge(where, board.facts);
        judge(where, WhereFacts{});
    } catch (const WhereError& error) {
        expect_one_line(error.what());
        expect(error.column() >= 1 && error.column() <= input.size() + 1, "a column beyond");
    }
}

}  // namespace rpic::fuzz
