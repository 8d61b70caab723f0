#include <catch2/catch.hpp>
#include <map>
#include <set>

#include "test/fuzz/targets.hpp"
#include "test/temporary_folder.hpp"

using namespace rpic;
using namespace rpic::fuzz;

namespace {

const std::map<std::string, void (*)(std::string_view)> targets = {
    {"config", fuzz_config},     {"discovery", fuzz_discovery}, {"frame", fuzz_frame},
    {"http", fuzz_http},         {"job_file", fuzz_job_file},   {"lines", fuzz_lines},
    {"manifest", fuzz_manifest}, {"message", fuzz_message},     {"spool", fuzz_spool},
    {"store", fuzz_store},       {"where", fuzz_where},         {"words", fuzz_words}};

}  // namespace

/// What fuzzing found stays found. test/fuzz/run looks for more.
TEST_CASE("every input of the fuzz corpus is taken or refused as it should", "[fuzz]") {
    const std::filesystem::path corpus = std::string(RPIC_SOURCE_DIR) + "/test/fuzz/corpus";
    std::set<std::string> seen;
    for (const auto& folder : std::filesystem::directory_iterator(corpus)) {
        const auto name = folder.path().filename().string();
        REQUIRE(targets.contains(name));
        for (const auto& file : std::filesystem::directory_iterator(folder)) {
            INFO(file.path());
            const auto input = test::read_text(file.path());
            CHECK_NOTHROW(targets.at(name)(input));
            seen.insert(name);
        }
        CHECK_NOTHROW(targets.at(name)(""));
    }
    CHECK(seen.size() == targets.size());
}
