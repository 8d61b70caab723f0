#include "slave/task_files.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>

#include "common/errors.hpp"
#include "common/files.hpp"
#include "common/limits.hpp"
#include "common/log.hpp"
#include "common/sleep.hpp"
#include "slave/task_launch.hpp"

namespace rpic {

namespace {

Owner owner_of(const TaskUser& user) {
    Owner owner;
    owner.uid = user.uid;
    owner.gid = user.gid;
    return owner;
}

/// Whether to try once more what could not be brought to the master. What a task made is safe here,
/// and would be gone for good if its end were told without it.
class Tries {
  public:
    bool again(const FileError& error) {
        // Until somebody makes room on the master's disk, or repairs it.
        if (error.code == "full" || (error.code == "failed" && error.from_master)) return true;
        // What the master had of it was damaged, somebody sends the same, or the file changed.
        return error.code == "conflict" && ++conflicts_ <= limits::collect_conflicts;
    }

  private:
    int conflicts_ = 0;
};

}  // namespace

std::string outcome_of(const FileError& error) {
    // A disk that is full or broken, or damages what comes, is this node's; a file that the master
    // does not have, or that makes no sense, is the same everywhere.
    const bool node = error.code == "full" || error.code == "failed" || error.code == "conflict";
    return node ? "node" : "cannot_execute";
}

TaskFiles::TaskFiles(const asio::any_io_executor& executor, const SlaveOptions& options)
    : options_(options),
      files_(executor),
      bulk_(executor, files_),
      cache_(options.folder / "cache", options.cache_bytes, executor, files_, bulk_),
      folders_(files_, options.tasks.string(), owner_of(options.task_user)) {
    make_room_for_tasks();
}

/// The task user has to get through to its folder, and sees nothing else on the way.
void TaskFiles::make_room_for_tasks() {
    make_private_folder(options_.tasks);
    std::error_code ignored;
    for (const auto& entry : std::filesystem::directory_iterator(options_.tasks, ignored))
        left_.push_back(entry.path().filename().string());
    if (!options_.task_user.isolated()) return;
    for (const auto& folder : {options_.state, options_.tasks}) {
        struct stat status {};
        if (::stat(folder.c_str(), &status) != 0 || (status.st_mode & S_IXOTH) != 0) continue;
        if (::chmod(folder.c_str(), (status.st_mode & 0777) | 0011) != 0)
            throw ConfigError("cannot open " + folder.string() +
                              " for the user of tasks: " + std::strerror(errno));
    }
}

std::string TaskFiles::folder_of(const AttemptKey& key) const {
    return (options_.tasks / folder_name(key)).string();
}

std::string TaskFiles::stdin_of(const AttemptKey& key) const {
    const auto found = inputs_.find(key);
    return found == inputs_.end() ? "" : found->second.stdin_file;
}

asio::awaitable<std::vector<std::string>> TaskFiles::make_folders(std::vector<AttemptKey> keys) {
    std::vector<std::string> names;
    for (const auto& key : keys) names.push_back(folder_name(key));
    return folders_.make(std::move(names));
}

asio::awaitable<void> TaskFiles::place_inputs(AttemptKey key, std::shared_ptr<const NodeJob> job,
                                              Wanted wanted) {
    const std::filesystem::path folder = folder_of(key);
    const auto owner = owner_of(options_.task_user);
    if (!job->in.empty())
        co_await rpic::place_inputs(files_, cache_, folder, job->in, owner, wanted);
    if (job->stdin_blob.empty()) co_return;
    std::vector<std::string> blobs = {job->stdin_blob};
    auto pins = co_await cache_.hold(std::move(blobs), wanted);
    Input input;
    input.pins = std::make_shared<FileCache::Pins>(std::move(pins));
    input.stdin_file = cache_.path_of(job->stdin_blob).string();
    inputs_[key] = std::move(input);
}

asio::awaitable<std::optional<std::string>> TaskFiles::until_brought(AttemptKey key, Bring bring,
                                                                     Wanted wanted,
                                                                     std::string& reason) {
    Tries tries;
    for (;;) {
        bool again = false;
        try {
            check_wanted(wanted);
            auto blob = co_await bring();
            co_return blob;
        } catch (const FileError& error) {
            again = tries.again(error);
            reason = error.what();
        }
        if (!again) co_return std::nullopt;
        log_rarely(Severity::warning, "result_waits", "master",
                   "what task " + folder_name(key) +
                       " made waits here, and is sent again soon: " + reason);
        co_await sleep_for(limits::collect_retry);
    }
}

asio::awaitable<std::string> TaskFiles::bring_output(AttemptKey key, std::string file,
                                                     std::int64_t bytes, Wanted wanted,
                                                     std::string& trouble) {
    std::string reason;
    Bring bring = [this, file, bytes, wanted, &trouble] {
        return send_output(file, bytes, wanted, trouble);
    };
    const auto blob = co_await until_brought(key, std::move(bring), wanted, reason);
    if (blob) co_return *blob;
    trouble = "its output was lost: " + reason;
    co_return std::string();
}

asio::awaitable<std::string> TaskFiles::send_output(std::string file, std::int64_t bytes,
                                                    Wanted wanted, std::string& trouble) {
    auto open = [file] {
        auto opened =
            std::make_shared<Descriptor>(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
        if (!*opened) fail_file("read", file);
        return opened;
    };
    const auto opened = co_await files_.run(std::move(open));
    const auto hashed = co_await hash_file(files_, opened, file, wanted);
    co_await bulk_.put(opened, hashed.blob, hashed.size, wanted);
    if (hashed.size != bytes)
        trouble = "its output is damaged: the file has " + std::to_string(hashed.size) +
                  " bytes, " + std::to_string(bytes) + " were written";
    co_return hashed.blob;
}

asio::awaitable<std::string> TaskFiles::bring_files(AttemptKey key,
                                                    std::shared_ptr<const NodeJob> job,
                                                    Wanted wanted, std::string& trouble) {
    std::string reason;
    Bring bring = [this, key, job, wanted, &trouble] {
        return send_files(key, job, wanted, trouble);
    };
    const auto manifest = co_await until_brought(key, std::move(bring), wanted, reason);
    if (manifest) co_return *manifest;
    trouble = "its files did not come back: " + reason;
    co_return std::string();
}

/// `trouble`: what was left behind.
asio::awaitable<std::string> TaskFiles::send_files(AttemptKey key,
                                                   std::shared_ptr<const NodeJob> job,
                                                   Wanted wanted, std::string& trouble) {
    const std::filesystem::path folder = folder_of(key);
    const auto owner = owner_of(options_.task_user);
    const auto collected = co_await collect_outputs(files_, bulk_, folder, job->out, owner, wanted);
    for (const auto& one : collected.left_out)
        trouble += (trouble.empty() ? "left behind: " : ", ") + one;
    co_return collected.manifest;
}

asio::awaitable<void> TaskFiles::remove(std::vector<std::string> names, bool more_to_come) {
    const auto troubles = co_await folders_.remove(std::move(names), more_to_come);
    for (const auto& trouble : troubles)
        log_rarely(Severity::warning, "folder_stays", "tasks", trouble);
}

}  // namespace rpic
