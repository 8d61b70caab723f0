#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "common/descriptor.hpp"
#include "slave/runner/runner.hpp"
#include "slave/runner/runner_log.hpp"

// What has to outlast a power cut.
namespace rpic {

namespace {

/// Everything that was written to the file systems of these folders. Not file by file: that would
/// mean to walk through a tree that tasks can change meanwhile.
int sync_file_systems(const std::set<std::string>& folders) {
    int error = 0;
    for (const auto& each : folders) {
        const Descriptor folder(::open(each.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        if (!folder || ::syncfs(folder.get()) != 0) error = errno;
    }
    return error;
}

}  // namespace

/// Ends that the master has not acknowledged for a while are made to outlast a power cut.
void Runner::sync_ends(Instant now) {
    if (disk_sync_.busy()) return;
    if (const auto error = disk_sync_.take_result()) finish_sync(*error);
    if (sync_plan_.spool_due(now))
        sync_spool();
    else if (auto keys = sync_plan_.files_due(now); !keys.empty())
        sync_files(std::move(keys));
}

void Runner::sync_spool() {
    const int copy = ::fcntl(spool_.descriptor(), F_DUPFD_CLOEXEC, 3);
    if (copy < 0) return;
    auto file = std::make_shared<Descriptor>(copy);
    if (disk_sync_.start([file] { return ::fdatasync(file->get()) == 0 ? 0 : errno; }))
        sync_plan_.on_spool_sync();
}

void Runner::sync_files(std::vector<AttemptKey> keys) {
    // The folder above is not a task's to close or to replace.
    std::set<std::string> folders;
    for (const auto& key : keys) {
        const auto& attempt = ended_.at(key).attempt;
        if (attempt.brings_files)
            folders.insert(std::filesystem::path(attempt.folder).parent_path().string());
        if (!attempt.output_file.empty()) folders.insert(options_.folder.string());
    }
    if (disk_sync_.start([folders] { return sync_file_systems(folders); }))
        syncing_files_of_ = std::move(keys);
}

/// Marks in the spool the ends whose files are on the disk now.
void Runner::finish_sync(int error) {
    const auto keys = std::exchange(syncing_files_of_, {});
    sync_plan_.on_files_tried(keys);
    if (error == 0 && !keys.empty() && !spool_.mark(keys)) error = errno;
    if (error != 0)
        note(std::string("the disk does not take how tasks have ended; a power cut would lose "
                         "that, and they would run again: ") +
             std::strerror(error));
}

}  // namespace rpic
