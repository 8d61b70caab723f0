#pragma once

#include <string>

#include "slave/runner/messages.hpp"

/// What a runner writes down for the next one, in the form of messages.
namespace rpic {

/// In `running`, of each attempt that was launched and has not ended.
struct RunningRecord {
    static constexpr std::string_view type_name = "running";
    std::string boot_id;
    std::int64_t started_at_ns = 0;  // of CLOCK_BOOTTIME
    std::string folder;
    std::string context;
};
BOOST_DESCRIBE_STRUCT(RunningRecord, (), (boot_id, started_at_ns, folder, context))

/// In `spool`, of each attempt that has ended and is not forgotten. The raw tail is its output, if
/// that is in no file. One with files is marked once they are on the disk.
struct EndedRecord {
    static constexpr std::string_view type_name = "ended";
    std::string boot_id;
    std::int64_t ended_at_ns = 0;
    RunnerAttempt attempt;
};
BOOST_DESCRIBE_STRUCT(EndedRecord, (), (boot_id, ended_at_ns, attempt))

/// Whether a part of its result is in files, which may be lost where the record is not.
inline bool has_files(const RunnerAttempt& ended) {
    return ended.brings_files || !ended.output_file.empty();
}

}  // namespace rpic
