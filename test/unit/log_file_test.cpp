#include <stdlib.h>

#include <catch2/catch.hpp>
#include <filesystem>

#include "common/limits.hpp"
#include "common/log.hpp"

using namespace rpic;

TEST_CASE("a log file is rotated at its limit, and the oldest are deleted") {
    char name[] = "/tmp/rpicluster-log-XXXXXX";
    const std::filesystem::path folder = ::mkdtemp(name);
    LogOptions options;
    options.to_stderr = false;
    options.file = (folder / "slave.log").string();
    start_log(options);
    const std::string line(1000, 'x');
    for (std::size_t written = 0; written < 6 * limits::log_file_bytes; written += line.size())
        log_info(line);
    // What other tests log goes to stderr again.
    LogOptions usual;
    usual.level = Severity::warning;
    start_log(usual);
    std::size_t files = 0;
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
        ++files;
        CHECK(entry.file_size() <= limits::log_file_bytes);
    }
    CHECK(files == limits::log_files + 1);
    std::filesystem::remove_all(folder);
}
