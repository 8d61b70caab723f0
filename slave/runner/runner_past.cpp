#include <sys/stat.h>
#include <unistd.h>

#include <set>

#include "common/codec.hpp"
#include "common/files.hpp"
#include "common/limits.hpp"
#include "slave/runner/leftovers.hpp"
#include "slave/runner/past.hpp"
#include "slave/runner/runner.hpp"
#include "slave/runner/runner_log.hpp"

// What an earlier runner of the folder left.
namespace rpic {

namespace {

/// A record that was written as a message; false if it is none of that type.
template <class Message>
bool read_record(std::string_view bytes, Message& message, std::size_t& raw_bytes) {
    FrameSplitter splitter(limits::spool_record_bytes, limits::chunk_bytes);
    Frame frame;
    try {
        if (splitter.next(bytes, frame) != bytes.size()) return false;
        ParseArena arena;
        auto decoded = decode<std::variant<Message>>(open_envelope(frame.json, arena));
        if (!decoded) return false;
        message = std::move(std::get<Message>(*decoded));
        raw_bytes = frame.raw.size();
        return true;
    } catch (const BadMessageError&) {
        return false;
    }
}

}  // namespace

Runner::Runner(boost::asio::any_io_executor executor, RunnerOptions options)
    : executor_(std::move(executor)),
      options_(std::move(options)),
      id_(folder_id(options_.folder)),
      boot_(boot_id()),
      spool_(options_.folder / "spool"),
      running_records_(options_.folder / "running"),
      groups_(options_.groups, id_),
      timer_(executor_),
      idle_since_(Clock::now()) {
    make_private_folder(options_.folder / "output");
    if (const auto count = kill_leftovers(id_); count > 0)
        note("killed " + std::to_string(count) + " processes that an earlier runner left");
    take_up_spool();
    take_up_running();
    remove_unknown_outputs();
}

/// Attempts that have ended, and whose end the master does not know. After a power cut those whose
/// files may be lost are unknown too: the master then runs them again.
void Runner::take_up_spool() {
    int lost = 0;
    for (const auto& key : spool_.keys()) {
        const auto bytes = spool_.read(key);
        EndedRecord record;
        std::size_t raw = 0;
        if (!read_record(bytes, record, raw) || record.attempt.key != key) {
            spool_.remove(key);
            continue;
        }
        const bool files_in_doubt = has_files(record.attempt) && !spool_.marked(key);
        if (files_in_doubt && record.boot_id != boot_) {
            spool_.remove(key);
            ++lost;
            continue;
        }
        EndedAttempt ended;
        ended.attempt = std::move(record.attempt);
        ended.inline_bytes = raw;
        ended.record_head = bytes.size() - raw;
        ended.in_spool = true;
        const Instant at{Duration{record.ended_at_ns}};
        // One of an earlier boot is older than this one.
        if (record.boot_id == boot_ && at <= Clock::now()) ended.ended_at = at;
        sync_plan_.add(key, ended.ended_at, files_in_doubt);
        ended_[key] = std::move(ended);
    }
    if (lost > 0)
        note(std::to_string(lost) +
             " tasks had ended when the power was cut, and their files were not on the disk yet: "
             "they run again");
}

/// Attempts that ran when the earlier runner was killed: they died with it.
void Runner::take_up_running() {
    for (const auto& key : running_records_.keys()) {
        RunningRecord record;
        std::size_t raw = 0;
        const bool readable = read_record(running_records_.read(key), record, raw);
        const bool ended = ended_.contains(key);
        // After a reboot nobody needs to be told: the boot id that the slave reports says it.
        if (readable && !ended && record.boot_id == boot_) {
            RunnerAttempt attempt;
            attempt.key = attempt.report.key = key;
            attempt.ended = true;
            attempt.folder = record.folder;
            attempt.context = record.context;
            attempt.report.outcome = "runner";
            attempt.report.reason = "the runner was killed while the task ran";
            const Instant started{Duration{record.started_at_ns}};
            attempt.report.duration_seconds = to_seconds(Clock::now() - started);
            keep(std::move(attempt), {});
        }
        running_records_.remove(key);
    }
}

void Runner::remove_unknown_outputs() {
    std::set<std::string> known;
    for (const auto& [key, ended] : ended_) known.insert(ended.attempt.output_file);
    std::vector<std::filesystem::path> unknown;
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(options_.folder / "output", error))
        if (!known.contains(entry.path().string())) unknown.push_back(entry.path());
    for (const auto& path : unknown) ::unlink(path.c_str());
}

}  // namespace rpic
