#include <stdlib.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

#include "common/limits.hpp"
#include "common/log.hpp"
#include "common/log_file.hpp"

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

TEST_CASE("older log files have higher numbers") {
    char name[] = "/tmp/rpicluster-log-XXXXXX";
    const std::filesystem::path folder = ::mkdtemp(name);
    const auto path = (folder / "master.log").string();
    std::ofstream(path) << "of yesterday\n";
    const auto first_line = [](const std::string& file) {
        std::ifstream stream(file);
        std::string line;
        std::getline(stream, line);
        return line.substr(0, 12);
    };
    {
        LogFile file(path);
        for (std::uint64_t round = 0; round < limits::log_files + 2; ++round) {
            const auto begin = "round " + std::to_string(round) + "     ";
            file.write(begin + std::string(limits::log_file_bytes - 100, '.'));
        }
    }
    const auto newest = limits::log_files + 1;
    CHECK(first_line(path) == "round " + std::to_string(newest) + "     ");
    for (std::uint64_t number = 1; number <= limits::log_files; ++number)
        CHECK(first_line(path + "." + std::to_string(number)) ==
              "round " + std::to_string(newest - number) + "     ");
    CHECK_FALSE(std::filesystem::exists(path + "." + std::to_string(limits::log_files + 1)));

    // Where nothing can be renamed the file begins anew, rather than growing for ever.
    for (const auto* number : {".1", ".2"}) {
        std::filesystem::remove(path + number);
        std::filesystem::create_directories(path + number + "/x");
    }
    LogFile stuck(path);
    stuck.write(std::string(1000, 's'));
    CHECK(std::filesystem::file_size(path) == 1001);
    std::filesystem::remove_all(folder);
}
