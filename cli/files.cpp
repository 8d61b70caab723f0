#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include "cli/download.hpp"
#include "cli/follow.hpp"
#include "cli/job_json.hpp"
#include "cli/progress.hpp"
#include "cli/run_program.hpp"
#include "cli/verbs.hpp"
#include "common/errors.hpp"
#include "common/files.hpp"
#include "common/sha256.hpp"
#include "common/text.hpp"

namespace rpic {

namespace {

constexpr Duration backup_patience = std::chrono::hours(1);
constexpr std::size_t chunks_ahead = 4;

/// A file that is there under its name once all of it is written, and not before.
class NewFile {
  public:
    explicit NewFile(std::string path)
        : path_(std::move(path)),
          part_(path_ + ".part"),
          descriptor_(::open(part_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600)) {
        if (descriptor_ < 0) fail("create");
    }
    ~NewFile() {
        if (descriptor_ >= 0) ::close(descriptor_);
        if (!kept_) ::unlink(part_.c_str());
    }
    NewFile(const NewFile&) = delete;
    NewFile& operator=(const NewFile&) = delete;

    void write(std::string_view bytes) {
        while (!bytes.empty()) {
            const auto count = ::write(descriptor_, bytes.data(), bytes.size());
            if (count < 0 && errno == EINTR) continue;
            if (count < 0) fail("write");
            bytes.remove_prefix(static_cast<std::size_t>(count));
        }
    }
    void keep() {
        if (::fsync(descriptor_) != 0) fail("write");
        if (::rename(part_.c_str(), path_.c_str()) != 0) fail("rename");
        kept_ = true;
    }

  private:
    [[noreturn]] void fail(const char* what) const {
        throw std::runtime_error(std::string("cannot ") + what + " " + part_ + ": " +
                                 std::strerror(errno));
    }

    std::string path_;
    std::string part_;
    int descriptor_;
    bool kept_ = false;
};

/// All of a blob, piece by piece, with some pieces under way.
void save_blob(Client& client, const std::string& blob, std::int64_t size, NewFile& file) {
    constexpr auto step = static_cast<std::int64_t>(limits::chunk_bytes);
    Sha256 hash;
    ProgressLine line;
    std::deque<std::int64_t> asked;
    std::int64_t next = 0;
    for (std::int64_t offset = 0; offset < size;) {
        for (; next < size && asked.size() < chunks_ahead; next += step) {
            GetChunk request;
            request.blob = blob;
            request.offset = next;
            asked.push_back(client.send(request));
        }
        const auto reply = client.reply_to(asked.front());
        asked.pop_front();
        const auto chunk = Client::take<Chunk>(reply);
        const auto wanted = std::min(step, size - offset);
        if (chunk.offset != offset || static_cast<std::int64_t>(reply.raw.size()) != wanted)
            throw std::runtime_error("the master sent another part of the backup than was asked");
        hash.update(reply.raw);
        file.write(reply.raw);
        offset += wanted;
        line.show("receiving " + transfer_text(offset, size, 0, 1));
    }
    if (hash.finish() != blob)
        throw std::runtime_error("the backup was damaged on its way: run the command again");
}

std::vector<TaskView> tasks_with_files(Client& client, GetJob request) {
    std::vector<TaskView> tasks;
    bool any = false;
    for (;;) {
        auto answer = get_job(client, request);
        any = any || !answer.tasks.empty();
        for (auto& task : answer.tasks)
            if (!task.files.empty()) tasks.push_back(std::move(task));
        if (!answer.next) break;
        request.after = *answer.next;
    }
    if (!any) throw RequestFailedError("not_found", "job " + request.job + " has no such task");
    return tasks;
}

}  // namespace

int verb_fetch(const Invocation& invocation) {
    Arguments arguments(invocation.arguments);
    GetJob request;
    const auto folder = arguments.take_value("--to").value_or(".");
    const bool by_task = arguments.take_toggle("--by-task");
    request.tasks = arguments.take_value("--tasks").value_or("");
    if (const auto task = arguments.take_task()) {
        request.job = task->job;
        request.tasks = task->task;
        check_job(request.job);
    } else {
        request.job = take_job(arguments);
    }
    arguments.finish();
    Client client(find_credentials(invocation.settings));
    const auto tasks = tasks_with_files(client, request);
    Downloaded sum;
    ProgressLine line;
    for (const auto& task : tasks) {
        const auto target = by_task ? folder + "/" + std::to_string(task.index) : folder;
        const auto brought = across_restarts(client, [&] {
            return download_manifest(client, task.files, target, [&](const auto& progress) {
                line.show("receiving " + transfer_text(progress.bytes_done, progress.bytes,
                                                       progress.files_done, progress.files));
            });
        });
        sum.files += brought.files;
        sum.bytes += brought.bytes;
        sum.replaced.insert(sum.replaced.end(), brought.replaced.begin(), brought.replaced.end());
    }
    line.clear();
    if (!sum.replaced.empty())
        std::fprintf(stderr,
                     "rpicluster: %zu files were replaced by others of their name, %s for example"
                     "%s\n",
                     sum.replaced.size(), sum.replaced.front().c_str(),
                     by_task ? "" : " (--by-task gives each task a folder)");
    if (invocation.machine_readable()) {
        json::object value;
        value["files"] = sum.files;
        value["bytes"] = sum.bytes;
        value["tasks"] = tasks.size();
        print_json(std::move(value));
    } else if (tasks.empty()) {
        std::fprintf(stderr, "rpicluster: job %s has brought no files (--out says which)\n",
                     request.job.c_str());
    } else {
        std::printf("%lld %s, %s%s, in %s\n", static_cast<long long>(sum.files),
                    sum.files == 1 ? "file" : "files", format_size(sum.bytes).c_str(),
                    sum.bytes < 1024 ? " bytes" : "", folder.c_str());
    }
    return exit_code::ok;
}

int verb_backup(const Invocation& invocation) {
    Arguments arguments(invocation.arguments);
    const auto path = arguments.take_word("the file to write the backup to");
    arguments.finish();
    Client client(find_credentials(invocation.settings));
    NewFile file(path);
    const auto made = client.ask<BackupMade>(MakeBackup{}, backup_patience);
    save_blob(client, made.blob, made.size, file);
    file.keep();
    if (invocation.machine_readable()) {
        json::object value;
        value["file"] = path;
        value["bytes"] = made.size;
        print_json(std::move(value));
    } else {
        std::fprintf(stderr, "%s: %s. It holds the keys of the cluster: keep it as safe.\n",
                     path.c_str(), format_size(made.size).c_str());
    }
    return exit_code::ok;
}

int verb_restore(const Invocation& invocation) {
    Arguments arguments(invocation.arguments);
    const auto path = arguments.take_word("the file that \"rpicluster backup\" wrote");
    arguments.finish();
    const auto state = state_dir(invocation.settings.text("state-dir")).string();
    // The master's own code reads the backup; it is beside this program, else in the path.
    std::error_code error;
    const auto own = std::filesystem::read_symlink("/proc/self/exe", error);
    const auto beside = own.parent_path() / "rpicluster-master";
    const bool found = !error && std::filesystem::exists(beside, error);
    const std::string program = found ? beside.string() : "rpicluster-master";
    const int code = run_program({program, "--restore", path, "--state-dir", state},
                                 invocation.machine_readable());
    if (code < 0 && errno != 0)
        throw std::runtime_error("cannot run " + program + ": " + std::strerror(errno) +
                                 "; restore runs on the machine of the master");
    // It has said what was wrong, with a code that means something else where daemons end.
    if (code != 0) return exit_code::failed;
    if (invocation.machine_readable()) {
        json::object value;
        value["file"] = path;
        value["state_dir"] = state;
        print_json(std::move(value));
    } else {
        std::fprintf(stderr,
                     "Start rpicluster-master there: the nodes find it where it has the "
                     "address of the old one.\n");
    }
    return exit_code::ok;
}

}  // namespace rpic
